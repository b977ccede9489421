"""RandomSampler: random search over the space, the baseline for other samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from tuning.search.sampler import SamplerContext, register
from tuning.study.proposal import Proposal


class RandomSampler:
    """Draws each trial independently of all others. Deterministic by seed and trial number."""

    def __init__(self, context: SamplerContext) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._context = context

    def learn(self, trial: FrozenTrial) -> None:
        """Does nothing."""

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """A random trial of the space, with the parameters in `fixed` set to their values."""
        sampler = optuna.samplers.RandomSampler(self._context.seed_of(number))
        study = optuna.create_study(sampler=sampler)
        if fixed:
            study.enqueue_trial(dict(fixed))
        trial = study.ask()
        recipe = self._context.suggest(trial)
        return Proposal(recipe, dict(trial.params), dict(trial.distributions))


register("random", RandomSampler)
