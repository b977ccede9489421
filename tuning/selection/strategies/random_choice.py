"""Random: every image is as likely as any other. The control that a strategy has to beat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tuning.selection.scored import Scored
from tuning.selection.strategy import Candidates, Strategy, register


def score(image: Scored, classes: np.ndarray) -> float:
    """0 for all."""
    return 0.0


def order(candidates: Candidates, count: int) -> Iterable[int]:
    """A random permutation."""
    return candidates.generator.permutation(len(candidates.scores)).tolist()  # type: ignore[no-any-return]


RANDOM = register(Strategy("random", "random", "the control", score, order))
