"""Metrics of segmentation: IoU by class, mean IoU, pixel accuracy, and the score that a search optimises.

All of them follow from one confusion matrix for each image, in pixels, so that a resample of the images is a matter of
adding some of them more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainers.segmentation import final_score
from trainers.segmentation.final_score import FOLLOWING, SETS, TARGET, WITH_TARGET

UNMEASURED = -1.0


@dataclass(frozen=True)
class ImageResult:
    """The result of one validation image with C classes.

    confusion: (C, C) int64, pixels by true class (row) and predicted class (column), without ignored pixels.
    predicted: the predicted mask as an encoded PNG of class indices, for pictures; b"" if it was not kept.
    scored: its set of a scored evaluation; "" for none.
    """

    confusion: np.ndarray
    predicted: bytes = field(default=b"", repr=False)
    scored: str = ""


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64: pixels by true class (row) and predicted class (column).

    true, predicted: integer arrays of one shape. Pixels whose true value is not below `classes` do not count.
    """
    counted = true < classes
    cells = true[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def evaluate(results: Sequence[ImageResult], classes: Sequence[str]) -> dict[str, float]:
    """Every metric by name; -1 for the IoU of a class that neither truth nor prediction has.

    IoU and accuracy are over all pixels of the images that are in no scored set, or of all images if each is in one.
    The score is the final score where there is one (final_score.py), else mean IoU.
    """
    counts = np.ones((1, len(results)), np.int64)
    return {name: float(values[0]) for name, values in measured(results, classes, counts).items()}


def measured(
    results: Sequence[ImageResult], classes: Sequence[str], counts: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics when image i occurs counts[b, i] times.

    counts: (B, N) int. Returns (B,) float64 for each metric, -1 where there is nothing to measure.
    """
    number = len(classes)
    each = np.array([result.confusion for result in results]).reshape(len(results), number * number)
    plain = np.array([not result.scored for result in results])
    used = counts * plain if plain.any() else counts
    total = (used @ each).reshape(-1, number, number)
    right = np.diagonal(total, axis1=1, axis2=2)
    union = total.sum(axis=1) + total.sum(axis=2) - right
    iou = np.where(union > 0, right / np.maximum(union, 1), np.nan)
    pixels = total.sum(axis=(1, 2))
    known = np.isfinite(iou)
    mean = np.where(known, iou, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    found = {
        "mIoU": np.where(known.any(axis=1), mean, UNMEASURED),
        "pixel_accuracy": np.where(pixels > 0, right.sum(axis=1) / np.maximum(pixels, 1), UNMEASURED),
        **{f"IoU/{name}": np.where(known[:, i], iou[:, i], UNMEASURED) for i, name in enumerate(classes)},
    }
    score = _final(results, classes, counts)
    return {"score": found["mIoU"] if score is None else score["final_score"], **found, **(score or {})}


def has_final_score(results: Sequence[ImageResult], classes: Sequence[str]) -> bool:
    """Whether there is a class `target`, and images of each of the three sets."""
    return TARGET in classes and {result.scored for result in results} >= set(SETS)


def _final(
    results: Sequence[ImageResult], classes: Sequence[str], counts: np.ndarray
) -> dict[str, np.ndarray] | None:
    if not has_final_score(results, classes):
        return None
    at = list(classes).index(TARGET)
    frames = [final_score.frame(result.confusion, at, result.scored) for result in results]
    found = final_score.measured(frames, counts)
    return {
        "final_score": found.score,
        "target_weight": found.weight,
        "target_IoU/following": found.iou[FOLLOWING],
        "target_IoU/patrol_with_target": found.iou[WITH_TARGET],
    }
