"""Entropy of the class scores: the detector is unsure of an object whose classes are all neither likely nor unlikely.

A detector's class scores are independent (sigmoid) or exclude each other (softmax); in both cases each is the
probability of a yes or no, whose entropy in bits is -p log2 p - (1 - p) log2 (1 - p); that of a box is the sum over
classes (Shannon 1948; for detectors, Roy, Unmesh, Namboodiri: "Deep active learning for object detection", BMVC 2018).
"""

from __future__ import annotations

import numpy as np

from tuning.selection.scored import Scored
from tuning.selection.strategy import LEAST_SCORE, Strategy, register, register_aggregates

SOURCE = "Shannon 1948; Roy et al., BMVC 2018"


def of_boxes(probabilities: np.ndarray) -> np.ndarray:
    """(D, C) probabilities -> (D,) bits."""
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    bits: np.ndarray = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum(axis=1)
    return bits


def number_of_boxes(image: Scored, classes: np.ndarray) -> float:
    """How many boxes the detector finds: the crudest sum over boxes, each of which counts the same."""
    return float(len(image.found.above(LEAST_SCORE).boxes))


register_aggregates("entropy", "entropy of the class scores", SOURCE, of_boxes, "bits")
COUNT = register(
    Strategy(
        "box-count", "number of boxes", "a sum in which every box is the same", number_of_boxes, unit="boxes"
    )
)
