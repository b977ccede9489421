"""COCO's metrics on resamples of the validation images, for confidence intervals; on all images, as coco_metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from trainers.datasets.object_size import SIZES
from trainers.detection import matching
from trainers.detection.coco_metrics import ANY_AREA, ImageResult

PREFIX = "AP/"


def resampled(
    results: Sequence[ImageResult],
    classes: Sequence[str],
    counts: Sequence[np.ndarray],
    names: Sequence[str],
) -> Mapping[str, Sequence[np.ndarray]]:
    """The metrics `names` (coco_metrics.evaluate) when image i occurs counts[k][b, i] times; see Task.resampled.

    counts: (B, N) int each. Returns (B,) float for each k, NaN or -1 if there is nothing to measure.
    """

    @cache
    def matches(size: str, most: int) -> list[matching.ClassMatches]:
        area = SIZES.get(size, ANY_AREA)
        return matching.match(results, len(classes), area, most)

    @cache
    def precision(size: str) -> list[np.ndarray]:
        return [matching.average_precision(matches(size, matching.MOST_DETECTIONS), each) for each in counts]

    def measured(name: str) -> list[np.ndarray] | None:
        if name.startswith(PREFIX):
            label = list(classes).index(name.removeprefix(PREFIX))
            return [each[:, :, label].mean(axis=1) for each in precision("")]
        kind, _, size = name.partition("_")
        if kind == "mAP":
            return [matching.mean(each) for each in precision(size)]
        if kind in ("mAP50", "mAP75"):
            at = int(np.argmin(np.abs(matching.IOU_THRESHOLDS - int(kind[-2:]) / 100)))
            return [matching.mean(each[:, at : at + 1]) for each in precision("")]
        if kind.startswith("AR"):
            found = matches(size, int(kind[2:] or matching.MOST_DETECTIONS))
            return [matching.mean(matching.recall(found, each)) for each in counts]
        return None

    return {name: found for name in names if (found := measured(name)) is not None}
