"""Tracking: logs a study to MLflow from a background thread, so that MLflow can neither slow nor stop a search.

The study is an MLflow run; each trial is a child run, the same one after every resume. Everything to log is on disk (the
trial's curve, and its record in Optuna's storage), and `mlflow.json` beside it notes what has been logged. If the
server is down or the driver is killed, the next run of the study logs the rest. Every write is idempotent: the same
point with the same timestamp, which MLflow stores once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tuning.execution.environment import Share
from tuning.search.callback import Callback
from tuning.study.curves import CurveFile
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import Rung, TrialRecord
from tuning.tracking import views
from tuning.tracking.mlflow_writer import MLflowWriter, WriterSettings
from tuning.tracking.notes import is_fully_logged, read_note
from tuning.tracking.writer_process import CLOSE_SECONDS, WriterGone, WriterProcess, is_permanent, one_line

# before another attempt after a failure: while the search runs, and in `close`
RETRY_SECONDS, CLOSE_RETRY_SECONDS = 5.0, 0.5
REPLY_SECONDS = 30.0  # that `close` waits, beyond its timeout, for a request that is in progress


class Tracking(Callback):
    """Logs a study to the MLflow store at `uri`, between `start` and `close`.

    artifacts: folder for MLflow's artifacts; None to let the server choose.
    max_steps: gradient steps of a full trial. share: a trial's share of a machine. command: the command of this run.
    writer: makes the object that writes to MLflow.
    """

    def __init__(
        self,
        study: Study,
        uri: str,
        artifacts: Path | None,
        max_steps: int,
        share: Share | None = None,
        command: str = "",
        writer: Callable[[WriterSettings, list[TrialRecord]], MLflowWriter | WriterProcess] = WriterProcess,
    ) -> None:
        self.uri = uri
        self._settings = WriterSettings(
            study.manifest,
            study.folder,
            study.objective,
            views.of_study(study.manifest, study.objective),
            uri,
            artifacts,
            share or Share(),
            command,
        )
        self._make_writer = writer
        self._problem: str | None = None
        self._refused: set[int] = set()  # trials that the store will not take, in this run
        self._study = study
        self._max_steps = max_steps
        self._curves: dict[int, CurveFile] = {}
        self._queue: dict[int, None] = {}  # numbers of the trials with something to log; an ordered set
        self._updated: set[int | None] = set()  # trials with an event since their last attempt began
        self._deadline: float | None = None  # set by `close`
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._log_until_closed, name="tracking", daemon=True)
        self._writer: MLflowWriter | WriterProcess | None = None

    def start(self) -> None:
        """Start the thread; first it logs what earlier runs of the study could not."""
        for record in self._study.records():
            if not is_fully_logged(self._study.trial_folder(record.number), record, self.uri):
                self._queue[record.number] = None
        self._thread.start()

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker."""
        self._enqueue(record.number)

    def progressed(self, result: StepResult) -> None:
        """Append the chunk's losses to the trial's curve file."""
        if result.trial not in self._curves:
            path = self._study.trial_folder(result.trial) / "metrics.jsonl"
            self._curves[result.trial] = CurveFile(path, self._max_steps)
        if self._curves[result.trial].append(result):
            self._enqueue(result.trial)

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A rung was measured."""
        self._enqueue(record.number)

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
        self._curves.pop(record.number, None)
        self._enqueue(record.number)

    def drawn_of(self, record: TrialRecord) -> None:
        """Log files of a trial that have just come. Thread-safe."""
        self._enqueue(record.number)

    def drawn(self, number: int) -> None:
        """Log a trial's pictures, which have just been drawn. Thread-safe."""
        self._enqueue(number)

    def close(self, timeout: float = 60.0) -> str | None:
        """Wait until everything is logged; give up after `timeout` seconds without progress.

        Returns None, or what was not logged and why: "4 trials (ConnectionError: ...)".
        """
        with self._condition:
            self._deadline = time.monotonic() + timeout
            self._condition.notify()
        while self._thread.is_alive() and time.monotonic() < self._deadline + REPLY_SECONDS:
            self._thread.join(1.0)
        if self._thread.is_alive():
            self._problem = self._problem or f"no reply for {timeout + REPLY_SECONDS:.0f} s"
        if isinstance(self._writer, WriterProcess):
            self._writer.close(0.0 if self._thread.is_alive() else CLOSE_SECONDS)
        count = len(self._queue.keys() | self._refused)
        unlogged = f"{count} trials" if count else "the end of the study"
        return f"{unlogged} ({self._problem})" if self._problem else None

    def _enqueue(self, number: int) -> None:
        with self._condition:
            self._queue[number] = None
            self._updated.add(number)
            self._condition.notify()

    def _log_until_closed(self) -> None:
        while True:
            with self._condition:
                while not self._queue and self._deadline is None:
                    self._condition.wait()
                number = next(iter(self._queue), None)  # None: all trials are logged, and no more will come
                self._updated.discard(number)
            try:
                self._log(number)
            except Exception as error:
                self._problem = one_line(error)
                if isinstance(error, WriterGone):
                    self._writer = None
                what = "the study" if number is None else f"trial {number}"
                logging.getLogger(__name__).info("%s was not logged to MLflow", what, exc_info=True)
                with self._condition:
                    if self._deadline is not None and is_permanent(error):
                        if number is None:
                            return
                        self._refused.add(number)
                        del self._queue[number]
                        continue
                    if number is not None:
                        self._queue[number] = self._queue.pop(number)  # to the end of the queue
                    if self._deadline is not None and time.monotonic() > self._deadline:
                        return
                    self._condition.wait(RETRY_SECONDS if self._deadline is None else CLOSE_RETRY_SECONDS)
                continue
            if number is None:
                return
            with self._condition:
                if number not in self._updated:  # no event meanwhile
                    del self._queue[number]

    def _log(self, number: int | None) -> None:
        if self._writer is None:
            if number is None and read_note(self._study.folder, self.uri).get("views") == views.VERSION:
                return  # nothing has been logged in this run
            self._writer = self._make_writer(self._settings, self._study.records())
        if number is None:
            self._writer.end_study(self._study.records())
        else:
            params, folder = self._study.trial(number).params, self._study.trial_folder(number)
            self._writer.log_trial(self._study.record(number), params, folder)
        self._problem = self._problem if self._refused else None
        if self._deadline is not None:
            self._deadline = max(self._deadline, time.monotonic() + RETRY_SECONDS)
