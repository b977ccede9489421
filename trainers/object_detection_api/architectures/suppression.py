"""Reads the settings of non-maximum suppression from the function that the API builds for it."""

from __future__ import annotations

from typing import Any


def settings_of(suppress: Any) -> dict[str, float] | None:
    """`iou`, `score`, `of_class` and `in_all` (trainers.detection.export) of a `functools.partial` of the API's builder.

    None if it is not plain non-maximum suppression per class.
    """
    settings = suppress.keywords
    if settings["soft_nms_sigma"] or settings["use_class_agnostic_nms"] or settings["use_combined_nms"]:
        return None
    names = {
        "iou": "iou_thresh", "score": "score_thresh", "of_class": "max_size_per_class", "in_all": "max_total_size",
    }  # fmt: skip
    return {name: settings[theirs] for name, theirs in names.items()}
