"""Callback: who is told what happens in a search. Tracking, progress and summary are callbacks."""

from __future__ import annotations

from tuning.study.step_result import StepResult
from tuning.study.trial_record import Rung, TrialRecord


class Callback:
    """Hears of every event in its order, on the driver's thread, so it must not take long. By default it ignores all."""

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker; one with rungs goes on where it was interrupted."""

    def progressed(self, result: StepResult) -> None:
        """A worker told of a chunk of training, whatever its kind."""

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A rung was measured and judged."""

    def lost(self, record: TrialRecord) -> None:
        """A trial's worker process died; another goes on with it, unless it happened too often."""

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
