"""Predictions: validation images with the ground truth and the best trials' predictions, side by side."""

from __future__ import annotations

from trainers.errors import UserError
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Picture, Section
from tuning.study.data import reopen

TRIALS = 2
TITLE = "Ground truth and predictions"


def section(context: ReportContext) -> Section | None:
    """The pictures, or the reason why the data could not be opened; None if no trial has stored results."""
    about, folder, task = context.study.manifest, context.study.folder, context.study.task
    best = {
        f"trial {record.number}": task.read_results(folder / "trials" / str(record.number), record.step)
        for record in context.ranked[:TRIALS]
    }
    kept = {name: results for name, results in best.items() if len(results)}
    if not kept:
        return None
    try:
        dataset = reopen(task, about.data, folder.parent / "data", context.data)
    except UserError as error:
        return Section("predictions", TITLE, [f"No pictures: {error}."])
    text, rows = task.side_by_side(kept, dataset)
    if not rows:
        return None
    pictures = [[Picture(each.jpeg, each.caption) for each in row] for row in rows]
    return Section("predictions", TITLE, [text], pictures=pictures, data={"images": len(rows)})
