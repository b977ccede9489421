"""TrialSource: the interface of what the engine runs on Ray: a search, or an audit."""

from __future__ import annotations

from typing import Protocol

from tuning.execution.worker import Assignment
from tuning.search.scheduler import Scheduler
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord


class TrialSource(Protocol):
    """Hands out trials and hears of them. tuning.search.search.Search says what each means."""

    study: Study
    scheduler: Scheduler
    stop_reason: str | None
    fatal_result: StepResult | None
    driver_error: Exception | None

    @property
    def live(self) -> int:
        """How many trials are running."""

    @property
    def over(self) -> bool:
        """Whether it ends before its trials have."""

    @property
    def exhausted(self) -> bool:
        """Whether `propose` has no more to give, now or later."""

    def propose(self) -> TrialRecord | None:
        """The next trial to run; None when there is none now."""

    def report(self, result: StepResult) -> bool:
        """Take in what a worker says of a trial; whether the trial goes on."""

    def lost(self, number: int) -> TrialRecord:
        """A trial's worker is gone; what is known of the trial, for another to go on with."""

    def crashed(self, number: int, reason: str) -> None:
        """A trial's worker is gone and will not be tried again."""

    def stop(self, reason: str) -> None:
        """Propose nothing more, and let no trial go on."""

    def interrupt(self) -> None:
        """The engine has ended; what still ran does not."""


def assignment_of(work: TrialSource, record: TrialRecord) -> Assignment:
    """The trial as a worker takes it on."""
    return Assignment(
        number=record.number,
        recipe=record.recipe,
        folder=work.study.trial_folder(record.number).absolute(),
        rungs=work.scheduler.rungs_of(record.number),
        reported=record.step,
        seconds_training=record.seconds_training,
        seconds_overhead=record.seconds_overhead,
    )
