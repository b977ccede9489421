"""Explorer: changes the recipe of a trial whose weights a new one takes over ("explore" of population based training).

Jaderberg et al., "Population Based Training of Neural Networks" (2017), section 4: each value is drawn anew with a
probability of a quarter, and multiplied by 0.8 or 1.2 otherwise. Here that is so for values on a logarithmic scale; the
others, many of which may be 0, move by a fifth of their range.

What a checkpoint is made for stays as it is: the model with its graph (image size, batch size, ...), the kind of the
optimizer, and whether weights are averaged. Everything else that the space varies may change: rates and their
schedule, momentum, decay, regularisation, clipping, augmentations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from search_spaces.fixed_trials import RecordingTrial, contains
from search_spaces.parts.parameters import Trial
from trainers.recipe import Recipe, graph_key
from tuning.search.population.gains import Gain
from tuning.study.proposal import Proposal

ANEW = 0.25  # probability that a value is drawn from its distribution
FACTORS = (0.8, 1.2)  # of values on a logarithmic scale
SHARE = 0.2  # of its range, by which any other number moves
MOST_NAMED = 4  # changes that are named, of a recipe


def kept(recipe: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a recipe (plain) that a checkpoint is made for; equal ones can go on from each other's weights."""
    averaged = recipe.get("averaging") is not None
    return (*graph_key(recipe), recipe["optimizer"]["kind"], averaged, recipe["steps"], recipe["seed"])


class Explorer:
    """Changes recipes of one space. Deterministic by the seed and the number of the new trial.

    suggest: samples the space with an Optuna trial, and returns the recipe. seed: of all random draws.
    """

    def __init__(self, suggest: Callable[[Trial], Recipe], seed: int) -> None:
        self.suggest = suggest
        self.seed = seed

    def explore(
        self,
        number: int,
        trial: FrozenTrial,
        recipe: Mapping[str, Any],
        known: Sequence[Gain] = (),
        now: int = 0,
    ) -> Proposal:
        """A changed recipe for the new trial `number`.

        trial: the one whose weights it takes. recipe: of that trial, plain values. known: what recipes have gained so
        far (tuning.search.population.gains), which a subclass may go by. now: the step at which it begins.
        """
        fixed: set[str] = set()
        while True:
            draw = random.Random(f"{self.seed} {number}")
            found = _Changed(trial.params, fixed, draw)
            made = self.suggest(found)
            if kept(made.to_dict()) == kept(recipe):
                return Proposal(made, found.params, found.distributions)
            fixed |= self._that_must_stay(trial.params, found.params, recipe)

    def _that_must_stay(
        self, params: Mapping[str, Any], changed: Mapping[str, Any], recipe: Mapping[str, Any]
    ) -> set[str]:
        """The changed parameters that a checkpoint is made for, each by itself; all of them if it is none alone."""
        names = [name for name, value in params.items() if changed.get(name, value) != value]
        found = set()
        for name in names:
            alone = _Changed({**params, name: changed[name]}, set(params), random.Random(0))
            if kept(self.suggest(alone).to_dict()) != kept(recipe):
                found.add(name)
        return found or set(params)


class _Changed(RecordingTrial):
    """A trial with the values of another one, changed but for those in `fixed`. What the other lacks is drawn."""

    def __init__(self, values: Mapping[str, Any], fixed: set[str], draw: random.Random) -> None:
        super().__init__()
        self._values = values
        self._fixed = fixed
        self._draw = draw

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """The changed value."""
        if name not in self._values or not contains(distribution, self._values[name]):
            return _drawn(distribution, self._draw)
        if name in self._fixed:
            return self._values[name]
        return _moved(self._values[name], distribution, self._draw)


def _moved(value: Any, distribution: BaseDistribution, draw: random.Random) -> Any:
    if draw.random() < ANEW:
        return _drawn(distribution, draw)
    if isinstance(distribution, CategoricalDistribution):
        return value
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    sign = draw.choice((0, 1))
    if distribution.log:
        moved = value * FACTORS[sign]
    else:
        moved = value + (2 * sign - 1) * SHARE * (distribution.high - distribution.low)
    return _within(moved, distribution)


def _drawn(distribution: BaseDistribution, draw: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return draw.choice(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    found = low * (high / low) ** draw.random() if distribution.log else low + (high - low) * draw.random()
    return _within(found, distribution)


def _within(value: float, distribution: FloatDistribution | IntDistribution) -> float | int:
    whole = isinstance(distribution, IntDistribution)
    near = min(max(value, distribution.low), distribution.high)
    return round(near) if whole else near


def described(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What has changed between the parameters of two trials, for the user: rates first, at most MOST_NAMED of them."""
    names = [
        name
        for name in (*before, *(n for n in after if n not in before))
        if before.get(name) != after.get(name)
    ]
    names.sort(key=lambda name: "learning_rate" not in name)
    named = [f"{name} {_shown(before.get(name))} → {_shown(after.get(name))}" for name in names[:MOST_NAMED]]
    more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return ", ".join([*named, *more]) or "the same recipe"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
