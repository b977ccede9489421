"""Breakdown: the metrics of the best trials in the task's own tables, such as the AP of each class."""

from __future__ import annotations

from trainers.evidence import Group
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, number, with_interval
from tuning.study.trial_record import TrialRecord

SHOWN = 8  # trials
ROWS = 20  # of a longer table, the best and the worst rows are shown


def section(context: ReportContext) -> Section | None:
    """One table per group of metrics (Task.groups); None if there are no groups, or no trial to show."""
    trials, task = context.ranked[:SHOWN], context.study.task
    groups = task.groups(context.classes)
    if not trials or not groups:
        return None
    text = task.remarks(f"Trial {trials[0].number}", trials[0].rungs[-1].metrics, context.classes)
    tables = [_table(context, group, trials) for group in groups]
    data = {"trials": [{"trial": trial.number, **trial.rungs[-1].metrics} for trial in trials]}
    title = " and ".join(group.title for group in groups)
    return Section("breakdown", f"By {title}", text, tables, data=data)


def _table(context: ReportContext, group: Group, trials: list[TrialRecord]) -> Table:
    best = trials[0]
    values = {label: best.rungs[-1].metrics.get(name, -1.0) for label, name in group.metrics.items()}
    labels, note = list(values), ""
    if group.sorted_by_value:
        labels = sorted((label for label in labels if values[label] >= 0), key=lambda label: -values[label])
        if len(labels) > ROWS:
            note = f"The {ROWS // 2} best and the {ROWS // 2} worst of {len(labels)}."
            labels = labels[: ROWS // 2] + labels[-ROWS // 2 :]
    metrics = context.bootstraps[best.number].metrics if best.number in context.bootstraps else {}
    rows = []
    for label in labels:
        name = group.metrics[label]
        interval = metrics[name].interval().clip(0, 1) if group.intervals and name in metrics else None
        others = (number(trial.rungs[-1].metrics.get(name)) for trial in trials[1:])
        rows.append((label, with_interval(values[label], interval), *others))
    heads = [f"trial {trial.number}" for trial in trials]
    first = f"{heads[0]} (95% interval)" if group.intervals else heads[0]
    return Table((group.title, first, *heads[1:]), rows, note)
