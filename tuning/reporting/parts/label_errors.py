"""Label errors: validation images on which the best trials agree with each other and not with the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainers.errors import UserError
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Picture, Section, Table, counted
from tuning.study.data import reopen

TRIALS = 5
MOST = 50
TITLE = "Likely label errors"


def section(context: ReportContext) -> Section | None:
    """The table and pictures, or the reason why there are none; None unless asked for (`--suspects`)."""
    if not context.suspects:
        return None
    study, folder = context.study, context.study.folder
    kept: dict[str, Sequence[Any]] = {}
    for record in context.ranked:
        results = study.task.read_results(folder / "trials" / str(record.number), record.step)
        if len(results) and len(kept) < TRIALS:
            kept[f"trial {record.number}"] = results
    if len(kept) < 2:
        return Section("suspects", TITLE, ["Two trials with stored results are needed to tell."])
    try:
        dataset = reopen(study.task, study.manifest.data, folder.parent / "data", context.data)
    except UserError as error:
        return Section("suspects", TITLE, [f"The images could not be read: {error}."])
    found = study.task.suspects(kept, dataset, MOST)
    if not found:
        return Section(
            "suspects", TITLE, [f"The best {len(kept)} trials agree with the labels or not with each other."]
        )
    text = (
        f"{counted(len(found), 'object')} on which the best {len(kept)} trials agree with each other and not with the "
        "label, the surest first. Look at them before you trust small differences: a wrong label counts as an error of "
        "every trial."
    )
    rows = [[each.image, each.what, f"{each.certainty:.2f}"] for each in found]
    note = f"The first {MOST}." if len(found) == MOST else ""
    return Section(
        "suspects",
        TITLE,
        [text],
        tables=[Table(("image", "what", "certainty"), rows, note)],
        pictures=[
            [Picture(e.jpeg, f"{each.image}: {e.caption}") for e in each.examples]
            for each in found
            if each.examples
        ],
        data={
            "suspects": [
                {"image": each.image, "what": each.what, "certainty": each.certainty} for each in found
            ]
        },
    )
