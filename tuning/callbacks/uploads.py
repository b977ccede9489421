"""Uploads: keeps a study's place in an object store up to date with the search. Without a store it does nothing.

What workers on other machines write of an ended trial (results per image, training files) is fetched on a thread.
"""

from __future__ import annotations

import json
import logging
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
        self._thread = threading.Thread(target=self._fetch_all, name="fetching", daemon=True)
        if self._stored is not None:
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
        """Wait until the files of all ended trials are fetched."""
        if self._stored is not None:
            self._queue.put(None)
            self._thread.join()

    def _touch(self, number: int) -> None:
        if self._stored is not None:
            self._stored.touch(number)

    def _fetch_all(self) -> None:
        assert self._stored is not None
        while (record := self._queue.get()) is not None:
            until = time.monotonic() + ON_THEIR_WAY_SECONDS
            while not self._fetch(record) and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
            for each in self._fetched:
                each(record)
            self._stored.touch(record.number)

    def _fetch(self, record: TrialRecord) -> bool:
        """Fetch the trial's small files. Returns whether its worker has uploaded them up to the trial's last rung."""
        assert self._stored is not None
        folder = self._study.trial_folder(record.number)
        try:
            self._stored.fetch_trial(record.number, checkpoint=False)
            return int(json.loads((folder / UPLOADED).read_text(encoding="utf-8"))["step"]) >= record.step
        except FileNotFoundError:
            return False
        except UserError as error:  # the store is away
            logging.getLogger(__name__).info("trial %s: %s", record.number, error)
            return False
