"""Forking: what a scheduler adds that lets trials begin from the checkpoints of others; and how a search does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from tuning.search.population.exploring import Explorer, described
from tuning.search.population.gains import gains
from tuning.search.roster import Roster
from tuning.search.scheduler import Scheduler
from tuning.study.fork import Fork
from tuning.study.storage.working_copy import fetch_trial
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord

ON_ITS_WAY_SECONDS = 60.0  # that a checkpoint may be uploaded for, after its rung was told
LOOK_SECONDS = 0.5


@runtime_checkable
class Forking(Scheduler, Protocol):
    """A scheduler that replaces trials by new ones, which begin from the checkpoints of better trials.

    For it, the `more` of `promotable` is also true while a trial is running that has not yet reached the lowest rung at
    which one waits: so it can decide on all trials at a rung together. It must return something from `fork` or
    `promotable` once `more` is false and trials wait.
    """

    def fork(self, waiting: Mapping[int, int], more: bool) -> Fork | None:
        """What to begin now instead of a waiting trial, from another waiting trial; None if there is nothing.

        Asked before `promotable`, again and again; a trial that is replaced no longer waits. The same questions have the
        same answers after a kill, when only scores, promotions and forks are known.
        """

    def forked(self, trial: int, fork: Fork) -> None:
        """Record that the new `trial` has begun so. Its rungs are those after the fork's step."""


class Forks:
    """Begins the trials that a scheduler forks. Without effect for a scheduler that does not.

    explorer: changes recipes; needed for a Forking scheduler.
    """

    def __init__(self, study: Study, scheduler: Scheduler, explorer: Explorer | None) -> None:
        self._study = study
        self._scheduler = scheduler if isinstance(scheduler, Forking) else None
        self._explorer = explorer
        if self._scheduler is not None:
            for record in study.records():
                if record.fork is not None:
                    self._scheduler.forked(record.number, record.fork)

    def more(self, roster: Roster, more: bool) -> bool:
        """Whether more trials will come, to the lowest rung at which one waits. more: whether new ones will begin."""
        if self._scheduler is None or more or not roster.waiting:
            return more
        lowest = min(roster.waiting.values())
        return any(self._study.record(number).step < lowest for number in roster.running)

    def due(self, roster: Roster, more: bool) -> Fork | None:
        """The fork to make now. more: as this class has it."""
        return None if self._scheduler is None else self._scheduler.fork(roster.waiting, more)

    def begin(self, fork: Fork, roster: Roster) -> TrialRecord:
        """Begin the trial, from a copy of the checkpoint. It takes a place in the search, and is no further trial."""
        assert self._scheduler is not None
        assert self._explorer is not None
        trials = self._study.trials()
        number, donor = len(trials), self._study.trial(fork.of)
        params = {place: each.params for place, each in enumerate(trials)}
        known = gains(self._study.records(), params, fork.step)
        recipe = self._study.record(fork.of).recipe
        proposal = self._explorer.explore(number, donor, recipe, known, fork.step)
        checkpoint = self._checkpoint(fork)
        changes = described(donor.params, proposal.params)
        source = changes if checkpoint else f"{changes}; the checkpoint is gone"
        record = self._study.begin(proposal, fork.provenance(source), [checkpoint] if checkpoint else [])
        self._scheduler.forked(record.number, fork)
        roster.not_counted.add(record.number)
        return record

    def _checkpoint(self, fork: Fork) -> Path | None:
        """The newest checkpoint of the trial to start from; in a store, once it has arrived. None if it is gone."""
        folder, since = self._study.trial_folder(fork.of), time.monotonic()
        while True:
            fetch_trial(folder, wait=True)
            newest = newest_checkpoint(folder)
            if (newest is not None and newest[0] >= fork.step) or self._study.stored is None:
                return newest and newest[1]
            if time.monotonic() - since > ON_ITS_WAY_SECONDS:
                return newest and newest[1]
            time.sleep(LOOK_SECONDS)
