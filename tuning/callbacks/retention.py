"""Retention: deletes the checkpoints (up to hundreds of MB) and the results per image of all but the best trials."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from trainers import task as tasks
from tuning.search.callback import Callback
from tuning.study import trial_record as records
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord

SHOWN = 100  # best trials, which a report compares image by image


class Retention(Callback):
    """Keeps the files of the best trials.

    count: number of ended trials that keep their checkpoint, besides all trials that may still resume.
    shown: number of ended trials that keep their results per validation image.
    """

    def __init__(self, study: Study, count: int, shown: int = SHOWN) -> None:
        self._study = study
        self._count = count
        self._task = tasks.get(study.manifest.task)
        self._shown = shown
        ended = [record for record in study.records() if record.verdict is not None and record.verdict.final]
        self._kept = [record for record in ended if study.saved_step(record.number)]
        self._seen = [record for record in ended if self._task.result_files(self._folder(record))]
        self._trim()

    def ended(self, record: TrialRecord) -> None:
        """Delete what is no longer among the best."""
        if record.verdict is not None and record.verdict.final:
            self._kept.append(record)
            self._seen.append(record)
            self._trim()

    def _trim(self) -> None:
        self._kept = records.ranking(self._kept)
        while len(self._kept) > self._count:
            worst = self._kept.pop()
            while (found := newest_checkpoint(self._folder(worst))) is not None:
                with contextlib.suppress(FileNotFoundError):  # a worker of this machine makes room meanwhile
                    shutil.rmtree(found[1])
            if self._study.stored is not None:
                self._study.stored.drop_checkpoints(worst.number)
        self._seen = records.ranking(self._seen)
        while len(self._seen) > self._shown:
            for file in self._task.result_files(self._folder(self._seen.pop())):
                file.unlink()

    def _folder(self, record: TrialRecord) -> Path:
        return self._study.trial_folder(record.number)
