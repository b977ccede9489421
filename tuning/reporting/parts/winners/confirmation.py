"""Confirmation: the best trials, trained again with other seeds (`--confirm`), and what another seed moves."""

from __future__ import annotations

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table
from tuning.study.confirmed import confirmed


def section(context: ReportContext) -> Section | None:
    """A table of the finalists, the winner first; None if no trial was trained again."""
    name = context.study.objective.name
    found = confirmed(context.records, context.study.objective)
    if found is None:
        return None
    rows = [
        (
            str(each.trial), f"{each.mean:.3f}", f"{each.first:.3f}",
            ", ".join(f"{value:.3f}" for value in each.again),
            "–" if each.behind is None else f"{each.behind[0]:+.3f} to {each.behind[1]:+.3f}",
        )
        for each in found.finalists
    ]  # fmt: skip
    columns = ("trial", f"mean {name}", "in the search", "again, other seeds", "behind the winner (95%)")
    text = [
        "The best trials were trained again with other seeds: other initial weights, augmentations and orders of the "
        "images. The winner is the one with the best mean."
    ]
    if found.spread is not None:
        text.append(f"Another seed moves {name} by {found.spread:.3f} (standard deviation).")
    if any(each.behind is not None for each in found.finalists):
        text.append(
            "The intervals are of the repeats alone, and hold for all finalists together (Tukey's test)."
        )
    else:
        text.append("Intervals need two repeats of each finalist: a --confirm of 4 or more.")
    return Section(
        "confirmation", "Confirmed with other seeds", text, [Table(columns, rows)], data=found.to_dict()
    )
