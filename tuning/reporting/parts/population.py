"""Population: whose weights each trial began from, where the scheduler replaces trials by others' successors."""

from __future__ import annotations

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, number
from tuning.study.fork import lineage
from tuning.study.trial_record import TrialRecord


def section(context: ReportContext) -> Section | None:
    """The trials that began from another's checkpoint, by number; None if there are none."""
    records = {record.number: record for record in context.records}
    forks = {number: record.fork for number, record in records.items()}
    rows, data = [], []
    for record in records.values():
        if (fork := record.fork) is None:
            continue
        donor, replaced = (_value_at(records[each], fork.step) for each in (fork.of, fork.instead_of))
        rows.append((
            str(record.number), str(fork.of), f"{fork.step:,}", number(donor), str(fork.instead_of), number(replaced),
            record.provenance["source"], number(record.value),
        ))  # fmt: skip
        data.append({
            "trial": record.number, "of": fork.of, "step": fork.step, "instead_of": fork.instead_of,
            "value_of": donor, "value_instead_of": replaced, "changes": record.provenance["source"],
            "value": record.value, "lineage": lineage(record.number, forks),
        })  # fmt: skip
    if not rows:
        return None
    name = context.study.objective.name
    text = [
        "Each of these trials began from the checkpoint of a better one, with a changed recipe, in place of a worse "
        "one. Its recipe is that of its own steps only."
    ]
    if context.best is not None:
        whose = lineage(context.best.number, forks)
        ends = [*(step for _, step in whose[1:]), context.best.step]
        parts = [f"trial {trial} to step {end:,}" for (trial, _), end in zip(whose, ends, strict=True)]
        text.append(f"The best trial's weights were trained with the recipe of {', then of '.join(parts)}.")
    columns = (
        "trial",
        "from trial",
        "at step",
        f"its {name}",
        "in place of",
        f"its {name}",
        "changed",
        f"{name} now",
    )
    return Section(
        "population", "Whose weights a trial has", text, [Table(columns, rows)], data={"trials": data}
    )


def _value_at(record: TrialRecord, step: int) -> float | None:
    return next((rung.value for rung in record.rungs if rung.step == step), None)
