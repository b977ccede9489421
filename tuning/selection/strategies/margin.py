"""Margin ("1-vs-2"): the detector hesitates between the best class and the second, or none.

(1 - (p1 - p2))^2 by box, with p1 the best class and p2 the better of the second class and no object, 1 - p1 (Brust,
Kaeding, Denzler: "Active learning for deep object detection", 2019, equation 1).
"""

from __future__ import annotations

import numpy as np

from tuning.selection.strategy import register_aggregates


def of_boxes(probabilities: np.ndarray) -> np.ndarray:
    """(D, C) probabilities -> (D,) in 0 to 1."""
    if not len(probabilities):
        return np.zeros(0)
    ordered = np.sort(probabilities.astype(np.float64), axis=1)[:, ::-1]
    best = ordered[:, 0]
    second = ordered[:, 1] if ordered.shape[1] > 1 else np.zeros_like(best)
    margin = np.abs(best - np.maximum(second, 1 - best))
    squared: np.ndarray = (1 - margin) ** 2
    return squared


register_aggregates(
    "margin", "margin of the two best answers", "Brust et al. 2019, equation 1", of_boxes, "boxes"
)
