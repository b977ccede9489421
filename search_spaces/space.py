"""Space: a search space. It turns an Optuna trial into a Recipe, and has rows, a hash and first trials."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution

from search_spaces.branch import Branch, Published
from search_spaces.conditions import Conditions
from search_spaces.fixed_trials import ChoiceNotOffered, FixedTrial, NearestTrial
from search_spaces.parts.parameters import Trial, choose
from search_spaces.parts.restriction import Restricted, check
from search_spaces.rows import Row, fingerprint
from search_spaces.walk import walk
from trainers import recipe
from trainers.errors import UserError
from trainers.recipe import Recipe

# Published fine-tunings took 2,000 to 25,000 steps; the two with a complete recipe and a result took 10,000.
ZOO_STEPS = 10_000
ZOO_TRIALS = 32
# with promotion, 540 steps of 270 each: 8 x 30, then 2 x 60, then 180
LAPTOP_TRIALS = 8
PUBLISHED_SHARE = 3  # at most one trial in so many has a published recipe, beyond the first one of each model


@dataclass(frozen=True)
class Seed:
    """A published recipe as a first trial of a search.

    name, source: as in Published. params: the argument of Optuna's `study.enqueue_trial`.
    changed: one phrase per value that had to change to fit the conditions and the ranges, except the steps.
    after: number of trials that a search begins before this one, at least.
    """

    name: str
    source: str
    params: dict[str, Any]
    changed: tuple[str, ...]
    after: int = 0

    @property
    def provenance(self) -> dict[str, str]:
        """Where the recipe comes from, as a trial keeps it."""
        return {"name": self.name, "source": self.source}


class Replayed(NamedTuple):
    """The recipe and the distributions of given parameters, as Space.replay returns them, for `optuna.create_trial`."""

    recipe: Recipe
    distributions: dict[str, BaseDistribution]


@dataclass(frozen=True, eq=False)
class Space:
    """A named search space over one or several models, one branch each.

        space = Space("mine", (LinearBranch(), QuadraticBranch()), choice="model")
        conditions = Conditions(steps=200)
        recipe = space.suggest(optuna_trial, conditions)
        for seed in space.seeds(conditions):
            optuna_study.enqueue_trial(seed.params)

    All branches must be of the same task. `python -m search_spaces NAME` prints a registered space.

    name: the value of `--space`. branches: one per model.
    laptop_steps: default steps of a trial with the laptop preset; None for the smallest of the models' own.
    laptop_trials: default number of trials with the laptop preset.
    choice: name of the categorical parameter that selects the model; only used with several branches.
    """

    name: str
    branches: tuple[Branch, ...]
    laptop_steps: int | None = None
    choice: str = "detector"
    laptop_trials: int = LAPTOP_TRIALS

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models."""
        return tuple(branch.model for branch in self.branches)

    @property
    def task(self) -> str:
        """The name of its models' task."""
        return self.branches[0].about.task

    @property
    def first_rung(self) -> int:
        """Steps before which a result of one of its models predicts nothing (Model.first_rung)."""
        return max(branch.about.first_rung for branch in self.branches)

    def default_steps(self, preset: str) -> int:
        """Gradient steps of a full-length trial, without `--max-steps`."""
        if preset == "zoo":
            return ZOO_STEPS
        return self.laptop_steps or min(int(branch.defaults(preset)["steps"]) for branch in self.branches)

    def default_trials(self, preset: str) -> int:
        """Number of trials of a search for which no limit was given."""
        return self.laptop_trials if preset == "laptop" else ZOO_TRIALS

    def suggest(self, trial: Trial, conditions: Conditions) -> Recipe:
        """Let the trial suggest all parameters, and return the recipe. Raises UserError if the space is invalid."""
        try:
            fields = self._fields(trial, conditions)
        except UserError as error:
            raise UserError(f"space '{self.name}': {error}") from None
        branch = f"{fields['model']} with {fields['optimizer']['kind']} and {fields['schedule']['kind']}"
        return recipe.build(fields, where=f"space '{self.name}', {branch}")

    def replay(self, params: Mapping[str, Any], conditions: Conditions) -> Replayed:
        """The recipe of given parameters, such as those of an earlier trial.

        Raises UserError if one is missing, out of its range, or not used with the other values.
        """
        trial = FixedTrial(params)
        made = self.suggest(trial, conditions)
        if left := [name for name in params if name not in trial.params]:
            raise UserError(f"space '{self.name}': parameter '{left[0]}' is not used with these choices")
        return Replayed(made, trial.distributions)

    def seeds(self, conditions: Conditions) -> list[Seed]:
        """The published recipes that a search tries: each model's first ones, then the others, without duplicates.

        The others take turns by model. They are spread over the search (Seed.after) so that it proposes recipes of its
        own from the start, and published ones take at most a third of its trials, whenever it ends.

        Adapted to the conditions: the nearest possible batch size (with a proportional learning rate for some
        optimizers), and values outside their range moved to the nearest end. Recipes with an optimizer or a schedule
        that is not in the space are left out.
        """
        firsts: list[Seed] = []
        others: list[tuple[int, Seed]] = []
        for branch in self.branches:
            for i, published in enumerate(branch.published(conditions.preset)):
                try:
                    seed = self._adapted(branch, published, conditions)
                except ChoiceNotOffered:
                    continue
                if any(seed.params == other.params for other in (*firsts, *(each for _, each in others))):
                    continue
                if i < branch.first_trials:
                    firsts.append(seed)
                else:
                    others.append((i, seed))
        in_turn = [seed for _, seed in sorted(others, key=lambda pair: pair[0])]
        return firsts + [
            dataclasses.replace(seed, after=PUBLISHED_SHARE * place - 1)
            for place, seed in enumerate(in_turn, start=len(firsts) + 1)
        ]

    def adapted(self, published: Published, conditions: Conditions) -> Seed:
        """A recipe of one of the space's models as a first trial, adapted as those of `seeds` are.

        Raises UserError if it has an optimizer or a schedule that is not in the space.
        """
        branch = next(branch for branch in self.branches if branch.model == published.recipe.model)
        return self._adapted(branch, published, conditions)

    def _adapted(self, branch: Branch, published: Published, conditions: Conditions) -> Seed:
        wanted, changed = branch.express(published.recipe, conditions)
        trial = NearestTrial({self.choice: branch.model} | wanted)
        self._fields(trial, conditions)
        return Seed(published.name, published.source, trial.params, (*changed, *trial.changes))

    def published_among(self, trials: int, conditions: Conditions) -> int:
        """How many of a search's first `trials` trials have a published recipe."""
        return sum(seed.after < trials for seed in self.seeds(conditions)[:trials])

    def rows(self, conditions: Conditions) -> tuple[Row, ...]:
        """One row per parameter that any trial may have, found by running `suggest` with every choice.

        Raises UserError if values within the ranges make an invalid recipe.
        """
        return _rows(self, conditions)

    def hash(self, conditions: Conditions) -> str:
        """Hash of the rows, twelve hexadecimal digits; independent of the conditions' steps and seed."""
        return fingerprint(self.rows(conditions))

    def _fields(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        if conditions.only:
            trial = Restricted(trial, conditions.only)
        if len(self.branches) == 1:
            return self.branches[0].suggest(trial, conditions)
        name = choose(trial, self.choice, self.models)
        branch = next(branch for branch in self.branches if branch.model == name)
        return branch.suggest(trial, conditions)


@functools.lru_cache(maxsize=16)
def _rows(space: Space, conditions: Conditions) -> tuple[Row, ...]:
    rows = walk(lambda trial: space.suggest(trial, conditions), where=f"space '{space.name}'")
    check(conditions.only, [row.name for row in rows if row.scale == "choice"])
    return rows
