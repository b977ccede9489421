"""Strategy: how a selection decides which images are worth their labels; and the registry of all strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tuning.selection.scored import Scored

LEAST_SCORE = 0.05  # boxes with a lower score say nothing: a detector has a hundred of them in any image


@dataclass(frozen=True, eq=False)
class Candidates:
    """The N images of a pool, as the second step of a strategy sees them.

    scores: (N,) float64, what the strategy's `score` gave. embeddings: (N, F) float32; (N, 0) unless it needs them.
    generator: of the selection's seed.
    """

    scores: np.ndarray
    embeddings: np.ndarray
    generator: np.random.Generator


def best_first(candidates: Candidates, count: int) -> Iterable[int]:
    """All images, the highest score first; equal ones in the order of the pool."""
    return np.argsort(-candidates.scores, kind="stable").tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Strategy:
    """A strategy.

    name: the value of --strategy. title: in words, for the page. source: of its formula.
    score: of one image; the higher, the sooner it is picked. It sees one image at a time, so that a pool may be of any
        size. classes: how often the detector found each class in the whole pool, (C,).
    order: the positions of the candidates, the one to pick first foremost. It may stop after `count`, but a selection
        skips images that look like one that is picked, and asks for more.
    needs: what must be known of each image beside the detections: "embeddings", "mirrored", "other".
    unit: what its score counts, for the page.
    """

    name: str
    title: str
    source: str
    score: Callable[[Scored, np.ndarray], float]
    order: Callable[[Candidates, int], Iterable[int]] = best_first
    needs: frozenset[str] = field(default_factory=frozenset)
    unit: str = "score"


_registered: dict[str, Strategy] = {}


def register(strategy: Strategy) -> Strategy:
    """Register a strategy under its name, and return it."""
    _registered[strategy.name] = strategy
    return strategy


def registered() -> dict[str, Strategy]:
    """Those that are registered so far, by name."""
    return dict(_registered)


def register_aggregates(
    name: str, title: str, source: str, of_boxes: Callable[[np.ndarray], np.ndarray], unit: str
) -> None:
    """Register a measure of boxes, (D, C) probabilities -> (D,), as NAME (its sum), NAME-mean and NAME-max.

    Brust, Kaeding, Denzler: "Active learning for deep object detection" (2019), section 3.2: the sum prefers images with
    many objects, the mean does not, the maximum looks at the strangest one.
    """
    aggregates: Sequence[tuple[str, Callable[[np.ndarray], float]]] = (
        ("", lambda values: float(values.sum())),
        ("-mean", lambda values: float(values.mean()) if len(values) else 0.0),
        ("-max", lambda values: float(values.max(initial=0.0))),
    )
    for suffix, aggregate in aggregates:

        def score(image: Scored, classes: np.ndarray, aggregate: Callable[..., float] = aggregate) -> float:
            return aggregate(of_boxes(image.found.above(LEAST_SCORE).probabilities))

        how = suffix.removeprefix("-") or "sum"
        register(Strategy(f"{name}{suffix}", f"{title}, {how} over boxes", source, score, unit=unit))
