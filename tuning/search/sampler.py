"""Sampler: what to try next. The protocol, and the register of all samplers by name."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from trainers.errors import UserError
from trainers.objective import Objective

if TYPE_CHECKING:  # --help names the samplers, and does without Optuna
    from optuna.trial import FrozenTrial, Trial

    from trainers.recipe import Recipe
    from tuning.study.proposal import Proposal

# The samplers of this package: importing the module registers it.
MODULES = {"tpe": "tuning.search.tpe", "random": "tuning.search.random_sampler"}


class Sampler(Protocol):
    """Proposes trials. What it proposes depends on the trials that it has learned, the seed and the number alone."""

    def learn(self, trial: FrozenTrial) -> None:
        """Take in a trial as it is now, whenever it changes: running, ended, or paused (`paused_at_its_rung`).

        Trials of earlier studies have numbers below 0. A failed trial has no value.
        """

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """What the trial `number` should be; with `fixed`, the values that it is to have, where they are asked.

        Raises what the space raises.
        """


@dataclass(frozen=True)
class Question:
    """What a sampler is made of.

    suggest: makes a recipe of what an Optuna trial suggests. seed: of all its draws. objective: what trials are
        judged by.
    fit: what a trial means in this search, None for nothing (tuning.search.fitting.Fitting.fit).
    """

    suggest: Callable[[Trial], Recipe]
    seed: int
    objective: Objective
    fit: Callable[[FrozenTrial], FrozenTrial | None] = lambda trial: trial

    def seed_of(self, number: int) -> int:
        """The seed of one proposal: it must not depend on how often the study was opened."""
        return (self.seed * 1_000_003 + number) % 2**32


_registered: dict[str, Callable[[Question], Sampler]] = {}


def register(name: str, make: Callable[[Question], Sampler]) -> None:
    """Make a sampler known to `--sampler` by its name."""
    _registered[name] = make


def names() -> tuple[str, ...]:
    """What `--sampler` takes."""
    return tuple(dict.fromkeys((*MODULES, *_registered)))


def make(name: str, question: Question) -> Sampler:
    """The sampler called `name`. Raises UserError, with the known names, when there is none."""
    if name not in names():
        raise UserError(f"unknown sampler '{name}'; known are {', '.join(names())}")
    if name not in _registered:
        importlib.import_module(MODULES[name])
    return _registered[name](question)


def paused_at_its_rung(trial: FrozenTrial) -> FrozenTrial:
    """A running trial that waits for its promotion, as a sampler learns of it: as if it were pruned there."""
    from optuna.trial import TrialState

    told = copy.copy(trial)
    told.state = TrialState.PRUNED
    told.values = [trial.intermediate_values[max(trial.intermediate_values)]]
    return told
