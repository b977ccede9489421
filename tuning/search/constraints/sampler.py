"""SamplerWithinLimits: passes on only the proposals of another sampler whose network keeps to the limits."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from trainers.recipe import architecture
from tuning.search.constraints.served_costs import Architecture
from tuning.search.sampler import Sampler
from tuning.study.proposal import Proposal

TRIES = 16  # proposals of which one may keep to the limits, before the choices of an architecture that does are given
STRIDE = 1_000_003  # between the numbers of those tries, larger than any number of trials


class SamplerWithinLimits:
    """Another sampler, whose proposals beyond the limits are proposed again before anything is trained.

    allowed: the architectures that keep to the limits, at least one. seed: of the search.
    A published recipe (`fixed`) is passed on as it is: a search leaves out those beyond the limits.
    """

    def __init__(self, sampler: Sampler, allowed: Sequence[Architecture], seed: int) -> None:
        self._sampler = sampler
        self._allowed = allowed
        self._seed = seed

    def learn(self, trial: FrozenTrial) -> None:
        """Pass the trial on."""
        self._sampler.learn(trial)

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """The first of its proposals that is within the limits. Depends on the number, so that it is the same again."""
        if fixed:
            return self._sampler.propose(number, fixed)
        for attempt in range(TRIES):
            proposal = self._sampler.propose(number + attempt * STRIDE)
            if self._within(proposal):
                return proposal
        one = random.Random(self._seed * STRIDE + number).choice(self._allowed)
        return self._sampler.propose(number, one.choices)

    def _within(self, proposal: Proposal) -> bool:
        own = architecture(proposal.recipe.to_dict())
        return any(each.fields == own for each in self._allowed)
