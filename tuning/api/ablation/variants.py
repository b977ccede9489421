"""Variants: the best trial's recipe with each of its choices in turn put back to the default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution

from search_spaces.conditions import Conditions
from search_spaces.fixed_trials import ChoiceNotOffered, NearestTrial
from search_spaces.space import Space
from trainers.errors import UserError
from trainers.recipe import Recipe
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

WINNER = "winner"


@dataclass(frozen=True)
class Variant:
    """A recipe to train. name: of its study, after the searched one's. change: what differs from the winner."""

    name: str
    change: str
    recipe: Recipe


def winner(study: StudyRead) -> TrialRecord:
    """The best trial. Raises UserError if no trial has been measured."""
    measured = [record for record in study.records if record.rungs and record.state != "failed"]
    if not measured:
        raise UserError(f"{study.folder}: no trial has been measured yet; there is nothing to ablate")
    return records.ranking(measured)[0]


def variants(space: Space, conditions: Conditions, params: Mapping[str, Any]) -> list[Variant]:
    """The winner's recipe again, and that with each choice in turn put back to the value of the space's first trial.

    params: the winner's. A choice decides which parameters follow: those that it brings have the first trial's values,
    else the lowest or first of their range. Learning rates and other numbers stay.
    """
    conditions = dataclasses.replace(conditions, only=())  # the default may be what --only left out
    default = space.seeds(conditions)[0].params
    best = space.replay(params, conditions)
    found = [Variant(WINNER, "the winner again", best.recipe)]
    for name, distribution in best.distributions.items():
        if not isinstance(distribution, CategoricalDistribution) or name not in default:
            continue
        if params[name] == default[name]:
            continue
        trial = _Filled({**default, **params, name: default[name]})
        try:
            recipe = space.suggest(trial, conditions)
        except ChoiceNotOffered:
            continue
        change = f"{name} {_text(params[name])} → {_text(default[name])}"
        found.append(Variant(name.replace(".", "-"), change, recipe))
    return found


class _Filled(NearestTrial):
    """A trial with the wanted values, and the lowest or first one where a parameter is not among them."""

    def value_of(self, name: str, distribution: Any) -> Any:
        """The value of the parameter `name`."""
        if name not in self.wanted:
            return (
                distribution.choices[0]
                if isinstance(distribution, CategoricalDistribution)
                else distribution.low
            )
        return super().value_of(name, distribution)


def _text(choice: Any) -> str:
    return {True: "on", False: "off"}[choice] if isinstance(choice, bool) else str(choice)
