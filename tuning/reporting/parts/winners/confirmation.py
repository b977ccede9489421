"""Confirmation: the best trials, trained again with other seeds (`--confirm`) or splits (`--folds`); what those move."""

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
    repeats = f"on the {found.folds} folds" if found.folds else "again, other seeds"
    columns = ("trial", f"mean {name}", "in the search", repeats, "behind the winner (95%)")
    how = (
        f"on {found.folds} other splits of the images, in which each image is for validation once, and with other seeds"
        if found.folds
        else "with other seeds: other initial weights, augmentations and orders of the images"
    )
    text = [f"The best trials were trained again {how}. The winner is the one with the best mean."]
    if found.spread is not None:
        text.append(f"Another {found.other} moves {name} by {found.spread:.3f} (standard deviation).")
    if all(each.behind is None for each in found.finalists):
        text.append("Intervals need two repeats of each of two finalists: a --confirm of 4, or --folds.")
    elif found.folds:
        text.append(
            "The intervals are of the differences on the same fold, wider than those of independent trainings: the "
            "folds' training images overlap (corrected resampled t-test, for all finalists together)."
        )
    else:
        text.append(
            "The intervals are of the repeats alone, and hold for all finalists together (Tukey's test)."
        )
    title = f"Confirmed {'on other splits' if found.folds else 'with other seeds'}"
    return Section("confirmation", title, text, [Table(columns, rows)], data=found.to_dict())
