"""Callback: the interface for what hears of a search's events: tracking, progress, summary."""

from __future__ import annotations

from tuning.study.step_result import StepResult
from tuning.study.trial_record import Rung, TrialRecord


class Callback:
    """Gets every event in order, on the driver's thread, so it must return quickly. By default it ignores all."""

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker; one with rungs goes on where it was interrupted."""

    def progressed(self, result: StepResult) -> None:
        """A worker reported a chunk of training, of any kind."""

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A rung was measured and judged."""

    def lost(self, record: TrialRecord) -> None:
        """A trial's worker process died; another goes on with it, unless it happened too often."""

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
