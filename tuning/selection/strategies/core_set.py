"""Core-set: images that cover the pool, each the farthest from all that are picked, by the detector's embeddings.

The greedy k-centre algorithm (Sener and Savarese: "Active learning for convolutional neural networks: a core-set
approach", ICLR 2018, algorithm 1), begun at the image nearest to the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tuning.selection.scored import Scored
from tuning.selection.strategy import Candidates, Strategy, register


def score(image: Scored, classes: np.ndarray) -> float:
    """0 for all: only the distances count."""
    return 0.0


def order(candidates: Candidates, count: int) -> Iterator[int]:
    """The farthest image from all before it, again and again."""
    points = candidates.embeddings.astype(np.float32)
    if not len(points):
        return
    middle = points.mean(axis=0)
    chosen = int(((points - middle) ** 2).sum(axis=1).argmin())
    nearest = np.full(len(points), np.inf, np.float32)
    for _ in range(len(points)):
        yield chosen
        nearest = np.minimum(nearest, ((points - points[chosen]) ** 2).sum(axis=1))
        nearest[chosen] = -1.0
        chosen = int(nearest.argmax())


CORE_SET = register(
    Strategy(
        "core-set", "distance from what is picked", "Sener and Savarese, ICLR 2018", score, order,
        needs=frozenset({"embeddings"}),
    )
)  # fmt: skip
