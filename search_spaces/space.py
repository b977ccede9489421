"""Space: what may vary in a search. It turns an Optuna trial into a Recipe; it has rows, a hash and seeds."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution

from search_spaces.answers import Exactly, Nearest, NotOffered
from search_spaces.branch import Branch
from search_spaces.conditions import Conditions
from search_spaces.parts.parameters import Trial, choose
from search_spaces.rows import Row, fingerprint
from search_spaces.walk import walk
from trainers import recipe
from trainers.errors import UserError
from trainers.recipe import Recipe

# Published fine-tunings took 2,000 to 25,000 steps; 10,000 is that of the two with full recipe and result.
ZOO_STEPS = 10_000
ZOO_TRIALS = 32
LAPTOP_TRIALS = 6  # the slowest detector takes nine minutes for them on two CPU cores


@dataclass(frozen=True)
class Seed:
    """A recipe that people use, as a first trial.

    name, source: which, by whom, with what result, and what of it had not been published.
    params: what `study.enqueue_trial` takes: a value for each parameter that this trial asks.
    changed: one phrase for each thing that the conditions or the ranges changed in it; steps apart.
    """

    name: str
    source: str
    params: dict[str, Any]
    changed: tuple[str, ...]


class Replayed(NamedTuple):
    """What known parameters mean in a space; with it, `optuna.create_trial` takes them, branches and all."""

    recipe: Recipe
    distributions: dict[str, BaseDistribution]


@dataclass(frozen=True, eq=False)
class Space:
    """A named search space over the branches of its models; with several, the model is a choice.

    laptop_steps: of a trial of the laptop preset; None for those of the model that learns in the fewest.
    choice: the parameter that chooses among several models.
    """

    name: str
    branches: tuple[Branch, ...]
    laptop_steps: int | None = None
    choice: str = "detector"

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that its recipes may have."""
        return tuple(branch.model for branch in self.branches)

    @property
    def task(self) -> str:
        """The name of the task that all its models have."""
        return self.branches[0].about.task

    def default_steps(self, preset: str) -> int:
        """Gradient steps of a trial."""
        if preset == "zoo":
            return ZOO_STEPS
        return self.laptop_steps or min(int(branch.defaults(preset)["steps"]) for branch in self.branches)

    def default_trials(self, preset: str) -> int:
        """How many trials a search has that no limit was given for."""
        return LAPTOP_TRIALS if preset == "laptop" else ZOO_TRIALS

    def suggest(self, trial: Trial, conditions: Conditions) -> Recipe:
        """The recipe that the trial's suggestions make. Raises UserError when the space is impossible."""
        try:
            fields = self._fields(trial, conditions)
        except UserError as error:
            raise UserError(f"space '{self.name}': {error}") from None
        branch = f"{fields['model']} with {fields['optimizer']['kind']} and {fields['schedule']['kind']}"
        return recipe.build(fields, where=f"space '{self.name}', {branch}")

    def replay(self, params: Mapping[str, Any], conditions: Conditions) -> Replayed:
        """What `params` (of an earlier trial, say) mean here. Raises UserError when one does not fit."""
        trial = Exactly(params)
        made = self.suggest(trial, conditions)
        if left := [name for name in params if name not in trial.params]:
            raise UserError(f"space '{self.name}': parameter '{left[0]}' is not asked in this branch")
        return Replayed(made, trial.distributions)

    def seeds(self, conditions: Conditions) -> list[Seed]:
        """The models' own defaults, then what people have published; none twice.

        Adapted to the conditions: schedules in fractions of the steps, the batch that there is (and a rate in
        proportion where the optimizer wants that), values outside the space at its nearest end. A recipe with
        an optimizer or a schedule that the space does not offer is left out.
        """
        firsts: list[Seed] = []
        others: list[Seed] = []
        for branch in self.branches:
            for i, known in enumerate(branch.published(conditions.preset)):
                wanted, changed = branch.express(known.recipe, conditions)
                trial = Nearest({self.choice: branch.model} | wanted)
                try:
                    self._fields(trial, conditions)
                except NotOffered:
                    continue
                seed = Seed(known.name, known.source, trial.params, (*changed, *trial.moved))
                if all(seed.params != other.params for other in (*firsts, *others)):
                    (firsts if i == 0 else others).append(seed)
        return firsts + others

    def rows(self, conditions: Conditions) -> tuple[Row, ...]:
        """One row for each parameter that any trial may be asked, found by walking every branch of `suggest`.

        Raises UserError when a value that the space allows makes an impossible recipe.
        """
        return _rows(self, conditions)

    def hash(self, conditions: Conditions) -> str:
        """Twelve hexadecimal digits of the rows, their conditions included; steps and seed do not count."""
        return fingerprint(self.rows(conditions))

    def _fields(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        if len(self.branches) == 1:
            return self.branches[0].suggest(trial, conditions)
        name = choose(trial, self.choice, self.models)
        branch = next(branch for branch in self.branches if branch.model == name)
        return branch.suggest(trial, conditions)


@functools.lru_cache(maxsize=16)
def _rows(space: Space, conditions: Conditions) -> tuple[Row, ...]:
    return walk(lambda trial: space.suggest(trial, conditions), where=f"space '{space.name}'")
