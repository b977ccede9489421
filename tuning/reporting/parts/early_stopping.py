"""Early stopping: the ledger of what it saved, and what an audit says it cost."""

from __future__ import annotations

from tuning.reporting.ledger import ledger, lines
from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, counted
from tuning.search.budget import duration

SHOWN = 25


def section(material: Material) -> Section | None:
    """The ledger of the stopped trials; nothing where none was."""
    study = material.study
    found = ledger(material.records, study.manifest.max_steps, study.audits, study.objective)
    if not found.entries:
        return None
    name = study.objective.name
    said = lines(found)[len(found.entries) :]
    if not found.audited:
        said.append(
            f"Nobody knows what they would have become: python -m tuning.ledger {study.manifest.study} --audit 3 "
            "trains three of them to their end."
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
    note = f"{counted(unseen, 'more trial')} in python -m tuning.ledger." if unseen > 0 else ""
    columns = (
        "trial",
        "stopped at",
        f"{name} there",
        "cutoff",
        "steps saved",
        "time saved",
        f"audited {name}",
    )
    text = [_sentence(line) for line in said]
    return Section(
        "early-stopping",
        "What early stopping saved",
        text,
        [Table(columns, rows, note)],
        data=found.to_dict(),
    )


def _sentence(line: str) -> str:
    return line[0].upper() + line[1:].rstrip(".") + "."
