"""Breakdown: the metrics of the foremost trials in the task's own tables, such as the AP of each class."""

from __future__ import annotations

from trainers.task import Group
from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, number, with_interval
from tuning.study.trial_record import TrialRecord

SHOWN = 8
ROWS = 20  # with more, the best and the worst


def section(material: Material) -> Section | None:
    """A table for each group of metrics that the task names."""
    trials, task = material.ranked[:SHOWN], material.study.task
    groups = task.groups(material.classes)
    if not trials or not groups:
        return None
    text = task.remarks(f"Trial {trials[0].number}", trials[0].rungs[-1].metrics, material.classes)
    tables = [_table(material, group, trials) for group in groups]
    data = {"trials": [{"trial": trial.number, **trial.rungs[-1].metrics} for trial in trials]}
    title = " and ".join(group.title for group in groups)
    return Section("breakdown", f"By {title}", text, tables, data=data)


def _table(material: Material, group: Group, trials: list[TrialRecord]) -> Table:
    best = trials[0]
    values = {label: best.rungs[-1].metrics.get(name, -1.0) for label, name in group.metrics.items()}
    labels, note = list(values), ""
    if group.sorted_by_value:
        labels = sorted((label for label in labels if values[label] >= 0), key=lambda label: -values[label])
        if len(labels) > ROWS:
            note = f"The best and the worst {ROWS // 2} of {len(labels)}."
            labels = labels[: ROWS // 2] + labels[-ROWS // 2 :]
    known = material.evidence[best.number].metrics if best.number in material.evidence else {}
    rows = []
    for label in labels:
        name = group.metrics[label]
        interval = known[name].interval().within(0, 1) if group.intervals and name in known else None
        others = (number(trial.rungs[-1].metrics.get(name)) for trial in trials[1:])
        rows.append((label, with_interval(values[label], interval), *others))
    heads = [f"trial {trial.number}" for trial in trials]
    first = f"{heads[0]} (95%)" if group.intervals else heads[0]
    return Table((group.title, first, *heads[1:]), rows, note)
