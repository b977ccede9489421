"""Table: a tabular benchmark; each proposal becomes the nearest recorded curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from tuning.search.simulation.curves import Curve
from tuning.study.proposal import Proposal
from tuning.study.trial_record import TrialRecord


class Table:
    """A tabular benchmark of recorded curves: each proposal becomes the nearest curve that is not yet taken."""

    def __init__(self, curves: Sequence[Curve], space: Space, conditions: Conditions) -> None:
        self._space, self._conditions = space, conditions
        self._free = dict(enumerate(curves))
        self._taken: dict[str, Curve] = {}

    def nearest(self, proposal: Proposal) -> Proposal:
        """The recorded trial nearest to `proposal`, as a proposal; its curve is then taken."""
        at = min(self._free, key=lambda i: distance(proposal, self._free[i].params))
        curve = self._free.pop(at)
        self._taken[curve.recipe.recipe_id] = curve
        distributions = self._space.replay(curve.params, self._conditions).distributions
        return Proposal(curve.recipe, curve.params, distributions)

    def curve(self, record: TrialRecord) -> Curve:
        """The curve of a trial of the search."""
        return self._taken[record.recipe_id]


def distance(proposal: Proposal, params: Mapping[str, Any]) -> float:
    """Distance of two sets of parameters, 0 to 1: the mean over all parameters, with 1 where only one set has it."""
    names = proposal.params.keys() | params.keys()
    total = 0.0
    for name in names:
        if name in proposal.params and name in params:
            total += _parameter_distance(proposal.distributions[name], proposal.params[name], params[name])
        else:
            total += 1.0
    return total / len(names)


def _parameter_distance(distribution: BaseDistribution, one: Any, other: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(one != other)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale = math.log if distribution.log else float
    width = scale(distribution.high) - scale(distribution.low)
    return min(1.0, abs(scale(one) - scale(other)) / width) if width else 0.0
