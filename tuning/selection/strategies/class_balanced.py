"""Class-balanced: entropy, in which a rare class counts more.

The entropy of each class score is weighted by (N + C) / (n_c + 1), with n_c of the N boxes in the pool being of class c
(Brust, Kaeding, Denzler: "Active learning for deep object detection", 2019, equation 5).
"""

from __future__ import annotations

import numpy as np

from tuning.selection.scored import Scored
from tuning.selection.strategies import entropy
from tuning.selection.strategy import LEAST_SCORE, Strategy, register


def score(image: Scored, classes: np.ndarray) -> float:
    """The sum over boxes of their entropy times the weight of their likeliest class."""
    found = image.found.above(LEAST_SCORE)
    weights = (classes.sum() + len(classes)) / (classes + 1)
    return float((entropy.of_boxes(found.probabilities) * weights[found.classes]).sum())


CLASS_BALANCED = register(
    Strategy(
        "class-balanced", "entropy of the class scores, rare classes first", "Brust et al. 2019, equation 5", score,
        unit="bits, weighted",
    )
)  # fmt: skip
