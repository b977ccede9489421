"""TrialSource: the interface of what the engine runs on Ray, a search or an audit."""

from __future__ import annotations

from typing import Protocol

from tuning.execution.worker import Assignment
from tuning.search.scheduler import Scheduler
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord


class TrialSource(Protocol):
    """Proposes trials and takes in their results. tuning.search.search.Search documents each member."""

    study: Study
    scheduler: Scheduler
    stop_reason: str | None
    fatal_result: StepResult | None
    driver_error: Exception | None

    @property
    def live(self) -> int:
        """Number of running trials."""

    @property
    def over(self) -> bool:
        """Whether it is to end now, with trials still running."""

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more trials, now and later."""

    def propose(self) -> TrialRecord | None:
        """The next trial to run; None if there is none now."""

    def report(self, result: StepResult) -> bool:
        """Process a worker's message. Returns whether the trial goes on."""

    def lost(self, number: int, machine: str = "") -> TrialRecord:
        """A trial's worker died, with the `machine` if named. Returns the record, from which another resumes it."""

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker died once too often."""

    def put_back(self, number: int, why: str) -> None:
        """The engine has ended a trial that is unfinished, through no fault of the trial: it is proposed again."""

    def stop(self, reason: str) -> None:
        """Propose no more trials, and end the running ones at their next report."""

    def interrupt(self) -> None:
        """The engine has ended: no trial runs any more."""


def assignment_of(source: TrialSource, record: TrialRecord) -> Assignment:
    """What a worker needs to run the trial."""
    fork = record.fork
    return Assignment(
        number=record.number,
        recipe=record.recipe,
        folder=source.study.trial_folder(record.number).absolute(),
        rungs=source.scheduler.rungs_of(record.number),
        reported=record.step,
        seconds_training=record.seconds_training,
        seconds_overhead=record.seconds_overhead,
        fold=record.fold.number if record.fold else 0,
        fork=None if fork is None else (fork.step, source.study.record(fork.of).recipe),
    )
