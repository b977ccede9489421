"""Sampler: the protocol for what to try next, and the registry of samplers by name."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from trainers.errors import UserError
from trainers.objective import Objective

if TYPE_CHECKING:  # --help lists the samplers, and should not wait for Optuna's import
    from optuna.trial import FrozenTrial, Trial

    from trainers.recipe import Recipe
    from tuning.study.proposal import Proposal

# This package's samplers by name; importing the module registers them.
MODULES = {"tpe": "tuning.search.samplers.tpe", "random": "tuning.search.samplers.random_sampler"}


class Sampler(Protocol):
    """Proposes trials. A proposal depends only on the learned trials, the seed and the trial's number."""

    def learn(self, trial: FrozenTrial) -> None:
        """Take in the current state of a trial; called whenever it changes: running, ended, paused (`paused_as_pruned`).

        Trials of earlier studies (warm start) have numbers below 0. A failed trial has no value.
        """

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """A proposal for the trial `number`.

        fixed: values for some parameters; those that the space does not sample are ignored.
        Raises what the space raises.
        """


@dataclass(frozen=True)
class SamplerContext:
    """What a sampler is made from.

    suggest: samples the space with an Optuna trial, and returns the recipe.
    seed: of all random draws. objective: what the search optimises.
    adapt: converts an earlier trial to the space of this search; returns None if that is impossible
        (tuning.search.space_adapter.SpaceAdapter.adapt).
    """

    suggest: Callable[[Trial], Recipe]
    seed: int
    objective: Objective
    adapt: Callable[[FrozenTrial], FrozenTrial | None] = lambda trial: trial

    def seed_of(self, number: int) -> int:
        """The seed for proposing the trial `number`; independent of how often the study was resumed."""
        return (self.seed * 1_000_003 + number) % 2**32


_registered: dict[str, Callable[[SamplerContext], Sampler]] = {}


def register(name: str, make: Callable[[SamplerContext], Sampler]) -> None:
    """Register a sampler under the name that `--sampler` takes. Raises UserError if another has that name."""
    if name in MODULES:
        importlib.import_module(MODULES[name])  # which registers its own first
    if _registered.setdefault(name, make) is not make:
        raise UserError(f"two samplers are called '{name}'; rename one of them")


def names() -> tuple[str, ...]:
    """The names that `--sampler` takes."""
    return tuple(dict.fromkeys((*MODULES, *_registered)))


def make(name: str, context: SamplerContext) -> Sampler:
    """Make the sampler `name`. Raises UserError, listing the known names, when there is none."""
    if name not in names():
        raise UserError(f"unknown sampler '{name}'; known are {', '.join(names())}")
    if name not in _registered:
        importlib.import_module(MODULES[name])
    return _registered[name](context)


def paused_as_pruned(trial: FrozenTrial) -> FrozenTrial:
    """A copy of a trial that waits for promotion, in the state that samplers learn: pruned at its last rung."""
    from optuna.trial import TrialState

    pruned = copy.copy(trial)
    pruned.state = TrialState.PRUNED
    pruned.values = [trial.intermediate_values[max(trial.intermediate_values)]]
    return pruned
