"""SpaceAdapter: makes trials of an earlier space, of fewer steps or of another study usable for a sampler."""

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
class SpaceAdapter:
    """Converts trials to a search's space and conditions.

    since: number of the study's first trial that this space proposed; trials from it on need no conversion.
    """

    space: Space
    conditions: Conditions
    since: int = 0

    def adapt(self, trial: FrozenTrial) -> FrozenTrial | None:
        """The trial in this space, as a copy; None if one of its values is no longer possible.

        A trial completed with fewer steps becomes one that was pruned there, so it ranks below all that went further.
        """
        adapted = copy.copy(trial)
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
            adapted.params, adapted.distributions = params, replayed.distributions
        if trial.state == TrialState.COMPLETE and trial.user_attrs[RECIPE]["steps"] < self.conditions.steps:
            adapted.state = TrialState.PRUNED
        return adapted
