"""Early stopping: the ledger of what it saved, and what an audit says it cost."""

from __future__ import annotations

from dataclasses import asdict

from tuning.ledger import ledger, lines
from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, counted
from tuning.search.budget import duration

SHOWN = 25


def section(material: Material) -> Section | None:
    """The ledger of the stopped trials; nothing where none was."""
    study = material.study
    found = ledger(material.records, study.manifest.max_steps, study.audits)
    if not found.entries:
        return None
    said = lines(found)[len(found.entries) :]
    if not found.audited:
        said.append(
            f"Nobody knows what they would have become: python -m tuning.ledger {study.manifest.study} --audit 3 "
            "trains three of them to their end."
        )
    rows = [
        (
            str(entry.trial), f"{entry.step:,}", f"{entry.mAP:.3f}",
            "–" if entry.cutoff is None else f"{entry.cutoff:.3f}", f"{entry.saved_steps:,}",
            duration(entry.saved_seconds), "–" if entry.audited is None else f"{entry.audited:.3f}",
        )
        for entry in sorted(found.entries, key=lambda entry: -entry.mAP)[:SHOWN]
    ]  # fmt: skip
    unseen = len(found.entries) - SHOWN
    note = f"{counted(unseen, 'more trial')} in python -m tuning.ledger." if unseen > 0 else ""
    columns = ("trial", "stopped at", "mAP there", "cutoff", "steps saved", "time saved", "audited mAP")
    data = asdict(found) | {
        "saved_steps": found.saved_steps,
        "saved_share": found.saved_share,
        "regrets": found.regrets,
    }
    text = [_sentence(line) for line in said]
    return Section(
        "early-stopping", "What early stopping saved", text, [Table(columns, rows, note)], data=data
    )


def _sentence(line: str) -> str:
    return line[0].upper() + line[1:].rstrip(".") + "."
