"""Adapts a search to Ray Tune's Searcher: what to run next. Results reach the search through ray_scheduler.py."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from tuning.execution.trial_source import TrialSource, assignment_of
from tuning.study.trial_record import TrialRecord


def ray_config(search: TrialSource, record: TrialRecord) -> dict[str, Any]:
    """The Ray config that gives a trial to a worker: an Assignment in plain values."""
    given = assignment_of(search, record)
    return {"assignment": asdict(given) | {"folder": str(given.folder)}}


FINISHED = "FINISHED"  # Searcher.FINISHED


class StudySearcher(Searcher):
    """Proposes the trials of `search`, to no more than `workers` workers at once."""

    def __init__(self, search: TrialSource, workers: int) -> None:
        super().__init__()
        self._search = search
        self._workers = workers
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A trial for a worker that is free; None while none is, so that each proposal knows all that is known."""
        if not self._search.exhausted and self._search.live >= self._workers:
            return None
        record = self._search.propose()
        if record is None:
            return FINISHED if self._search.exhausted else None
        self._numbers[trial_id] = record.number
        return ray_config(self._search, record)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ray has let go of a trial. One without a verdict lost its worker more often than it may."""
        number = self._numbers.pop(trial_id)
        if error:
            self._search.crashed(number, "its worker process died (out of memory, or killed)")

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study holds all, and no pickle is ever read."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a study goes on from its own folder."""
