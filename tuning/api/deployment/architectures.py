"""Lists the networks that a space may propose, with a recipe of each."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.conditions import Conditions
from search_spaces.fixed_trials import RecordingTrial
from search_spaces.space import Space
from trainers.recipe import Recipe, architecture
from tuning.search.constraints.served_costs import Architecture


class Example(NamedTuple):
    """A network, and a recipe that has it."""

    architecture: Architecture
    recipe: Recipe


class _Chosen(RecordingTrial):
    """Takes the given choices, else the first one, and the low end of each number."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        self._given = given

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """See RecordingTrial."""
        if isinstance(distribution, CategoricalDistribution):
            return self._given.get(name, distribution.choices[0])
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        return distribution.low


def architectures(space: Space, conditions: Conditions) -> list[Example]:
    """All networks of the space: whatever another value of one choice leads to, from each that was found.

    A network is one whose fields (trainers.recipe.architecture) differ from all others'. Only choices may decide them,
    as search_spaces.branch says of parameters.
    """
    found: dict[str, Example] = {}
    queue: deque[dict[str, Any]] = deque([{}])
    while queue:
        given = queue.popleft()
        trial = _Chosen(given)
        recipe = space.suggest(trial, conditions)
        fields = architecture(recipe.to_dict())
        if _key(fields) in found:
            continue
        decisive = {}
        for name, distribution in trial.distributions.items():
            if not isinstance(distribution, CategoricalDistribution):
                continue
            for choice in distribution.choices:
                other = {**given, name: choice}
                if choice == trial.params[name] or _key(_fields(space, conditions, other)) == _key(fields):
                    continue
                decisive[name] = trial.params[name]
                queue.append(other)
        found[_key(fields)] = Example(Architecture(fields, decisive), recipe)
    return list(found.values())


def _fields(space: Space, conditions: Conditions, given: Mapping[str, Any]) -> dict[str, Any]:
    return architecture(space.suggest(_Chosen(given), conditions).to_dict())


def _key(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True)
