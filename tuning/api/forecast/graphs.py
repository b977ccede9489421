"""Graphs: how many TensorFlow graphs a search's trials need. A worker builds each of them before its first step."""

from __future__ import annotations

import functools
import random
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from search_spaces.conditions import Conditions
from search_spaces.fixed_trials import RecordingTrial
from search_spaces.space import Space
from trainers import model as models

DRAWN = 24  # recipes by which they are estimated


def expected_graphs(space: Space, conditions: Conditions, trials: int) -> float:
    """The number of different graphs (Model.graph_fields) among so many trials with recipes drawn at random."""
    counts = _counts(space, conditions)
    if trials <= DRAWN:
        return counts[max(0, trials - 1)]
    later = (counts[-1] - counts[DRAWN // 2 - 1]) / (DRAWN - DRAWN // 2)  # of each further trial
    return counts[-1] + later * (trials - DRAWN)


@functools.lru_cache(maxsize=16)
def _counts(space: Space, conditions: Conditions) -> list[int]:
    """The number of different graphs among the first one, two, ... of DRAWN recipes."""
    draws, seen, counts = random.Random(0), set(), []
    for _ in range(DRAWN):
        recipe = space.suggest(_Drawn(draws), conditions)
        seen.add((recipe.model, *(getattr(recipe, name) for name in models.get(recipe.model).graph_fields)))
        counts.append(len(seen))
    return counts


class _Drawn(RecordingTrial):
    """A trial with values drawn at random, uniformly from each range."""

    def __init__(self, draws: random.Random) -> None:
        super().__init__()
        self._draws = draws

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """A value in the distribution."""
        if isinstance(distribution, CategoricalDistribution):
            return self._draws.choice(distribution.choices)
        if isinstance(distribution, IntDistribution):
            return self._draws.randint(distribution.low, distribution.high)
        return self._draws.uniform(distribution.low, distribution.high)  # type: ignore[attr-defined]
