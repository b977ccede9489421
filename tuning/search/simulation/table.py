"""Table: a tabular benchmark; each proposal becomes the nearest recorded curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
        self._curves = curves
        self._parameters = ParameterTable([curve.params for curve in curves])
        self._free = np.ones(len(curves), bool)
        self._taken: dict[str, Curve] = {}

    def nearest(self, proposal: Proposal) -> Proposal:
        """The recorded trial nearest to `proposal`, as a proposal; its curve is then taken."""
        at = int(np.argmin(np.where(self._free, self._parameters.distances(proposal), np.inf)))
        self._free[at] = False
        curve = self._curves[at]
        self._taken[curve.recipe.recipe_id] = curve
        distributions = self._space.replay(curve.params, self._conditions).distributions
        return Proposal(curve.recipe, curve.params, distributions)

    def curve(self, record: TrialRecord) -> Curve:
        """The curve of a trial of the search."""
        return self._taken[record.recipe_id]


class ParameterTable:
    """The parameters of N trials, to find out how far a proposal is from each."""

    def __init__(self, trials: Sequence[Mapping[str, Any]]) -> None:
        self._trials = trials
        self._counts = np.array([len(params) for params in trials])
        self._columns: dict[tuple[str, BaseDistribution], np.ndarray] = {}

    def distances(self, proposal: Proposal) -> np.ndarray:
        """(N,) float, 0 to 1: the mean over all parameters of the two, with 1 where only one of them has it."""
        total, shared = np.zeros(len(self._trials)), np.zeros(len(self._trials))
        for name, distribution in proposal.distributions.items():
            column, value = self._column(name, distribution), proposal.params[name]
            if isinstance(distribution, CategoricalDistribution):
                apart = (column != distribution.to_internal_repr(value)).astype(float)
            else:
                assert isinstance(distribution, FloatDistribution | IntDistribution)
                low, high, at = (
                    _scaled(each, distribution) for each in (distribution.low, distribution.high, value)
                )
                apart = (
                    np.minimum(1.0, np.abs(column - at) / (high - low))
                    if high > low
                    else np.zeros(len(column))
                )
            missing = np.isnan(column)
            total += np.where(missing, 1.0, apart)
            shared += ~missing
        others = self._counts - shared  # parameters that the proposal lacks
        return (total + others) / (len(proposal.params) + others)

    def _column(self, name: str, distribution: BaseDistribution) -> np.ndarray:
        """(N,) float, the values of a parameter on its scale; NaN where a trial lacks it."""
        key = name, distribution
        if key not in self._columns:
            values = [
                _number(params[name], distribution) if name in params else np.nan for params in self._trials
            ]
            self._columns[key] = np.array(values, float)
        return self._columns[key]


def _number(value: Any, distribution: BaseDistribution) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.choices.index(value)) if value in distribution.choices else -1.0
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return _scaled(value, distribution)


def _scaled(value: float, distribution: FloatDistribution | IntDistribution) -> float:
    return float(np.log(value)) if distribution.log else float(value)
