"""Random search: draws each trial from the space alone. The baseline that samplers are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from tuning.search.sampler import Question, register
from tuning.study.proposal import Proposal


class RandomSampler:
    """Learns nothing."""

    def __init__(self, question: Question) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._question = question

    def learn(self, trial: FrozenTrial) -> None:
        """Nothing depends on it."""

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """A random trial of the space; `fixed` values where they are asked."""
        sampler = optuna.samplers.RandomSampler(self._question.seed_of(number))
        study = optuna.create_study(sampler=sampler)
        if fixed:
            study.enqueue_trial(dict(fixed))
        trial = study.ask()
        recipe = self._question.suggest(trial)
        return Proposal(recipe, dict(trial.params), dict(trial.distributions))


register("random", RandomSampler)
