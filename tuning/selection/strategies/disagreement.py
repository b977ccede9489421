"""Disagreement of two detectors ("query by committee", Seung, Opper, Sompolinsky 1992).

For boxes, what matches nothing in the other's answer: 1 minus the IoU with its best box of the same class, weighted by
the score of the box, summed over the boxes of both.
"""

from __future__ import annotations

import numpy as np

from tuning.selection.scored import Found, Scored
from tuning.selection.strategy import LEAST_SCORE, Strategy, register


def unmatched(one: Found, other: Found) -> float:
    """The sum, over the boxes of `one`, of score times (1 - IoU with the best box of the same class in `other`)."""
    one, other = one.above(LEAST_SCORE), other.above(LEAST_SCORE)
    if not len(one.boxes):
        return 0.0
    if not len(other.boxes):
        return float(one.scores.sum())
    overlap = _iou(one.boxes, other.boxes) * (one.classes[:, np.newaxis] == other.classes)
    return float((one.scores * (1 - overlap.max(axis=1))).sum())


def score(image: Scored, classes: np.ndarray) -> float:
    """Both ways, so that a box that only one of them finds counts whichever that is."""
    assert image.other is not None
    return unmatched(image.found, image.other) + unmatched(image.other, image.found)


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(D, 4) and (E, 4) boxes [ymin, xmin, ymax, xmax] -> (D, E), 0 to 1."""
    low = np.maximum(one[:, np.newaxis, :2], other[:, :2])
    high = np.minimum(one[:, np.newaxis, 2:], other[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    overlap: np.ndarray = both / np.maximum(areas[0][:, np.newaxis] + areas[1] - both, 1e-12)
    return overlap


DISAGREEMENT = register(
    Strategy(
        "disagreement", "disagreement of two detectors", "Seung et al. 1992", score, needs=frozenset({"other"}),
        unit="boxes",
    )
)  # fmt: skip
