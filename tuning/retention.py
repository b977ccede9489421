"""Retention: how many trials keep their checkpoint. Each has one, of up to hundreds of megabytes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tuning import record as records
from tuning.observer import Observer
from tuning.record import TrialRecord
from tuning.study import Study
from tuning.worker import newest_checkpoint


class Retention(Observer):
    """Keeps the checkpoints of the `count` best ended trials, and of all that may go on; deletes the others."""

    def __init__(self, study: Study, count: int) -> None:
        self._study = study
        self._count = count
        self._kept = [
            record
            for record in study.records()
            if record.verdict is not None and record.verdict.final and newest_checkpoint(self._folder(record))
        ]
        self._trim()

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
        if record.verdict is not None and record.verdict.final:
            self._kept.append(record)
            self._trim()

    def _trim(self) -> None:
        self._kept = records.ranking(self._kept)
        while len(self._kept) > self._count:
            worst = self._kept.pop()
            while (found := newest_checkpoint(self._folder(worst))) is not None:
                shutil.rmtree(found[1])

    def _folder(self, record: TrialRecord) -> Path:
        return self._study.trial_folder(record.number)
