"""Callback: the interface for the events of a search. Tracking, progress and summary.json are callbacks."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.study.step_result import StepResult
from tuning.study.trial_record import Rung, TrialRecord


class Callback:
    """Base class of callbacks; every method does nothing by default.

    Methods are called in the order of events, on the driver's thread, so they must return quickly.
    """

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker. If `record` has rungs, the trial resumes after the last one."""

    def progressed(self, result: StepResult) -> None:
        """A worker sent a message about its trial, of any kind."""

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A trial was evaluated at a rung, and the scheduler has decided."""

    def lost(self, record: TrialRecord) -> None:
        """A trial's worker process died. Another worker resumes the trial, unless this has happened too often."""

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""


class Callbacks:
    """Passes every event to several callbacks, in their order."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = callbacks

    def began(self, record: TrialRecord) -> None:
        """Pass it on."""
        for callback in self._callbacks:
            callback.began(record)

    def progressed(self, result: StepResult) -> None:
        """Pass it on."""
        for callback in self._callbacks:
            callback.progressed(result)

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """Pass it on."""
        for callback in self._callbacks:
            callback.reached(record, rung)

    def lost(self, record: TrialRecord) -> None:
        """Pass it on."""
        for callback in self._callbacks:
            callback.lost(record)

    def ended(self, record: TrialRecord) -> None:
        """Pass it on."""
        for callback in self._callbacks:
            callback.ended(record)
