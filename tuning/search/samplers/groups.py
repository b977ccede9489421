"""GroupedTPE: Optuna's multivariate TPE over a space with conditional parameters, one group of them at a time.

A group is the parameters that the same trials have: those of all trials, those of one optimizer, those of one
augmentation. Optuna's own `group=True` models every group for each trial, also those that the trial does not ask for,
which take more than half of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial


class GroupedTPE(optuna.samplers.TPESampler):
    """Samples a group jointly when a trial asks for the first of its parameters. For one trial.

    trials: of the study; groups are those of the ended ones, and running ones count as bad (constant liar).
    settings: of Optuna's sampler.
    """

    def __init__(self, trials: Sequence[FrozenTrial], **settings: Any) -> None:
        super().__init__(multivariate=True, constant_liar=True, **settings)
        self._distributions: dict[str, BaseDistribution] = {}
        self._trials_with: dict[str, list[int]] = {}
        self._sampled: dict[str, Any] = {}
        for place, trial in enumerate(trials):
            if trial.state.is_finished():
                self._distributions.update(trial.distributions)
                for name in trial.params:
                    self._trials_with.setdefault(name, []).append(place)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing is sampled before it is asked for."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The parameter as a part of its group; on its own where no trial has had it with this distribution."""
        if param_distribution == self._distributions.get(param_name):
            if param_name not in self._sampled:
                self._sampled |= self.sample_relative(study, trial, self._together_with(param_name))
            if param_name in self._sampled:
                return self._sampled[param_name]
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _together_with(self, parameter: str) -> dict[str, BaseDistribution]:
        """The distributions of the parameters that the same trials have."""
        trials = self._trials_with[parameter]
        return {
            name: self._distributions[name]
            for name in sorted(self._distributions)
            if self._trials_with[name] == trials and not self._distributions[name].single()
        }
