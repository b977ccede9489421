"""Least confident: 1 minus the probability of the best class, by box (Lewis and Gale 1994).

A box just above the least score is not unsure, but most likely no object; so what is best without a doubt, an object or
none, counts 0, and a probability of one half 1.
"""

from __future__ import annotations

import numpy as np

from tuning.selection.strategy import register_aggregates


def of_boxes(probabilities: np.ndarray) -> np.ndarray:
    """(D, C) probabilities -> (D,) in 0 to 1: 2 (1 - p), p the probability of the likelier of object and none."""
    best = probabilities.astype(np.float64).max(axis=1, initial=0.0)
    doubt: np.ndarray = 2 * (1 - np.maximum(best, 1 - best))
    return doubt


register_aggregates(
    "least-confident", "lack of confidence in the best class", "Lewis and Gale 1994", of_boxes, "boxes"
)
