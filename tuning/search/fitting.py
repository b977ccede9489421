"""What a trial of an earlier space, of fewer steps or of another study means in a search: as TPE should see it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers.errors import UserError
from trainers.recipe import upgraded
from tuning.study.trial_record import RECIPE


@dataclass(frozen=True)
class Fitting:
    """The search's space and conditions, and the first trial of its study that was proposed by them."""

    space: Space
    conditions: Conditions
    since: int = 0

    def fit(self, trial: FrozenTrial) -> FrozenTrial | None:
        """The trial in this space; None when one of its values is no longer possible.

        A trial that was complete with fewer steps is as one that was pruned there: worse than all that went further.
        """
        told = copy.copy(trial)
        if trial.number < self.since:
            params = dict(trial.params)
            if len(self.space.branches) > 1:
                params.setdefault("detector", upgraded(trial.user_attrs[RECIPE])["model"])
            elif params.pop("detector", self.space.models[0]) != self.space.models[0]:
                return None
            try:
                replayed = self.space.replay(params, self.conditions)
            except UserError:
                return None
            told.params, told.distributions = params, replayed.distributions
        if trial.state == TrialState.COMPLETE and trial.user_attrs[RECIPE]["steps"] < self.conditions.steps:
            told.state = TrialState.PRUNED
        return told
