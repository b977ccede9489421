"""Early stopping: the steps and time that it saved, and what an audit says about the trials that it stopped."""

from __future__ import annotations

from tuning.reporting.context import ReportContext
from tuning.reporting.ledger import ledger, lines
from tuning.reporting.section import Section, Table, counted
from tuning.search.limits.budget import duration

SHOWN = 25


def section(context: ReportContext) -> Section | None:
    """The ledger of the stopped trials; None if no trial was stopped."""
    study = context.study
    found = ledger(context.records, study.manifest.max_steps, study.audits, study.objective)
    if not found.entries:
        return None
    name = study.objective.name
    totals = lines(found)[len(found.entries) :]
    if not found.audited:
        totals.append(
            "Whether a stopped trial would have won is not known. To find out, train three of them to their last step: "
            f"python -m tuning.ledger {study.manifest.study} --audit 3."
        )
    rows = [
        (
            str(entry.trial), f"{entry.step:,}", f"{entry.value:.3f}",
            "–" if entry.cutoff is None else f"{entry.cutoff:.3f}", f"{entry.saved_steps:,}",
            duration(entry.saved_seconds), "–" if entry.audited is None else f"{entry.audited:.3f}",
        )
        for entry in sorted(
            found.entries,
            key=lambda entry: entry.value,
            reverse=study.objective.direction == "maximize",
        )[:SHOWN]
    ]  # fmt: skip
    unseen = len(found.entries) - SHOWN
    note = f"python -m tuning.ledger lists {counted(unseen, 'more trial')}." if unseen > 0 else ""
    columns = (
        "trial",
        "stopped at step",
        f"{name} at that step",
        "cutoff",
        "steps saved",
        "time saved",
        f"audited {name}",
    )
    text = [_sentence(line) for line in totals]
    return Section(
        "early-stopping",
        "What early stopping saved",
        text,
        [Table(columns, rows, note)],
        data=found.to_dict(),
    )


def _sentence(line: str) -> str:
    return line[0].upper() + line[1:].rstrip(".") + "."
