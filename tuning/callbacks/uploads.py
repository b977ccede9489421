"""Uploads: keeps a study's place in an object store up to date with the search. Without a store it does nothing.

What workers on other machines write of an ended trial (results per image, training files) is fetched on a thread. What
comes late, or while the store is away, is fetched at the end of this run or of the next one.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from trainers.errors import UserError
from tuning.search.callback import Callback
from tuning.study.step_result import StepResult
from tuning.study.storage.keys import UPLOADED
from tuning.study.study import Study
from tuning.study.trial_record import Rung, TrialRecord

ON_THEIR_WAY_SECONDS = 60.0  # that results may be uploaded for, after their rung was told
LOOK_SECONDS = 1.0


class Uploads(Callback):
    """fetched: are called with the record of an ended trial once its files are on this machine, on another thread."""

    def __init__(self, study: Study, fetched: Sequence[Callable[[TrialRecord], None]] = ()) -> None:
        self._study = study
        self._stored = study.stored
        self._fetched = fetched
        self._queue: queue.SimpleQueue[TrialRecord | None] = queue.SimpleQueue()
        self._late: list[TrialRecord] = []  # what could not be fetched yet, in earlier runs too
        self._until = math.inf  # until when the thread may wait for anything
        self._thread = threading.Thread(target=self._fetch_all, name="fetching", daemon=True)
        if self._stored is not None:
            ended = [record for record in study.records() if record.verdict and record.verdict.final]
            self._late = [record for record in ended if record.rungs and not self._is_here(record)]
            self._thread.start()

    def began(self, record: TrialRecord) -> None:
        """The trial's recipe was written."""
        self._touch(record.number)

    def progressed(self, result: StepResult) -> None:
        """The trial's curve was written."""
        self._touch(result.trial)

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """The trial's record has changed."""
        self._touch(record.number)

    def ended(self, record: TrialRecord) -> None:
        """Fetch what the trial's worker has written."""
        self._touch(record.number)
        if self._stored is not None and record.rungs:
            self._queue.put(record)

    def close(self) -> None:
        """Wait until the files of all ended trials are fetched; at most ON_THEIR_WAY_SECONDS for what is not there."""
        if self._stored is not None:
            self._until = time.monotonic() + ON_THEIR_WAY_SECONDS
            self._queue.put(None)
            self._thread.join()

    def _touch(self, number: int) -> None:
        if self._stored is not None:
            self._stored.touch(number)

    def _fetch_all(self) -> None:
        while (record := self._queue.get()) is not None:
            until = time.monotonic() + ON_THEIR_WAY_SECONDS
            while not (here := self._fetch(record)) and time.monotonic() < min(until, self._until):
                time.sleep(LOOK_SECONDS)
            if not here:
                self._late.append(record)
            self._tell(record)
        for record in self._late:
            if time.monotonic() < self._until and self._fetch(record):
                self._tell(record)

    def _tell(self, record: TrialRecord) -> None:
        assert self._stored is not None
        for each in self._fetched:
            each(record)
        self._stored.touch(record.number)

    def _fetch(self, record: TrialRecord) -> bool:
        """Fetch the trial's small files. Returns whether its worker has uploaded them up to the trial's last rung."""
        assert self._stored is not None
        try:
            self._stored.fetch_trial(record.number, checkpoint=False)
        except UserError as error:  # the store is away
            logging.getLogger(__name__).info("trial %s: %s", record.number, error)
            return False
        return self._is_here(record)

    def _is_here(self, record: TrialRecord) -> bool:
        """Whether all that its worker has written is on this machine."""
        path = self._study.trial_folder(record.number) / UPLOADED
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["step"]) >= record.step
        except FileNotFoundError:
            return False
