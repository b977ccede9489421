"""Adapts a search to Ray Tune's Searcher: proposes what to run next. Results come back through ray_scheduler.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from tuning.execution.trial_source import TrialSource, assignment_of
from tuning.study.trial_record import TrialRecord


def ray_config(search: TrialSource, record: TrialRecord) -> dict[str, Any]:
    """The config of a Ray trial: the Assignment in plain values."""
    given = assignment_of(search, record)
    return {"assignment": asdict(given) | {"folder": str(given.folder)}}


FINISHED = "FINISHED"  # Searcher.FINISHED


class StudySearcher(Searcher):
    """Proposes the trials of `search`, at most `workers` at once."""

    def __init__(self, search: TrialSource, workers: Callable[[], int]) -> None:
        super().__init__()
        self._search = search
        self._workers = workers

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The config of the next trial; None while all workers are busy, so that proposals use the latest results."""
        if not self._search.exhausted and self._search.live >= self._workers():
            return None
        record = self._search.propose()
        if record is None:
            return FINISHED if self._search.exhausted else None
        return ray_config(self._search, record)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to do: the trial has its verdict, or the scheduler has decided what becomes of it."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the study has the state, and no pickle is read."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: a study resumes from its own folder."""
