"""Tracking: has MLflow told of a study, in a process of its own, from what is on disk. It cannot slow or break a search.

A study is a run, each trial a child run for its whole life. What MLflow was told is noted in `mlflow.json` beside what
is to be told (the trial's curve, and its record in Optuna's storage), so that a server that is away, or a driver that
is killed, costs nothing: the next run of the study goes on telling. What is told twice is the same to the
millisecond, and MLflow keeps it once.
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
from tuning.tracking.mlflow_writer import MLflowWriter, Subject
from tuning.tracking.notes import told_all
from tuning.tracking.writer_process import PATIENCE, Gone, WriterProcess, in_short

# until a store is tried again, while the search runs and at its end
RETRY_SECONDS, CLOSING_SECONDS = 5.0, 0.5
ANSWER_SECONDS = 30.0  # for an answer that is under way


class Tracking(Callback):
    """Follows a study; `start` begins telling MLflow at `uri`, `close` waits until all is told, or says what is not.

    artifacts: where MLflow keeps files, None for where its server does. max_steps: of a trial.
    share: of a machine, that each trial has. command: that the study is run with.
    writer: who speaks with MLflow.
    """

    def __init__(
        self,
        study: Study,
        uri: str,
        artifacts: Path | None,
        max_steps: int,
        share: Share | None = None,
        command: str = "",
        writer: Callable[[Subject, list[TrialRecord]], MLflowWriter | WriterProcess] = WriterProcess,
    ) -> None:
        self.uri = uri
        self._subject = Subject(study.manifest, study.folder, uri, artifacts, share or Share(), command)
        self._make_writer = writer
        self._problem: str | None = None
        self._study = study
        self._max_steps = max_steps
        self._curves: dict[int, CurveFile] = {}
        self._due: dict[int, None] = {}  # trials with something to tell, in order
        self._fresh: set[int | None] = set()  # those of them with news since the last attempt
        self._closing: float | None = None  # when to give up
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._tell_all, name="tracking", daemon=True)
        self._writer: MLflowWriter | WriterProcess | None = None

    def start(self) -> None:
        """Begin with what earlier runs of the study could not tell."""
        for record in self._study.records():
            if not told_all(self._study.trial_folder(record.number), record, self.uri):
                self._due[record.number] = None
        self._thread.start()

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker."""
        self._news(record.number)

    def progressed(self, result: StepResult) -> None:
        """Keep the chunk's losses."""
        if result.trial not in self._curves:
            path = self._study.trial_folder(result.trial) / "metrics.jsonl"
            self._curves[result.trial] = CurveFile(path, self._max_steps)
        if self._curves[result.trial].append(result):
            self._news(result.trial)

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A rung was measured."""
        self._news(record.number)

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
        self._curves.pop(record.number, None)
        self._news(record.number)

    def drawn(self, number: int) -> None:
        """A trial has pictures. Called from another thread."""
        self._news(number)

    def close(self, patience: float = 60.0) -> str | None:
        """Wait until all is told, at most `patience` seconds without headway; a phrase on what is not, and why."""
        with self._changed:
            self._closing = time.monotonic() + patience
            self._changed.notify()
        while self._thread.is_alive() and time.monotonic() < self._closing + ANSWER_SECONDS:
            self._thread.join(1.0)
        if self._thread.is_alive():
            self._problem = self._problem or f"no answer for {patience + ANSWER_SECONDS:.0f} s"
        if isinstance(self._writer, WriterProcess):
            self._writer.close(0.0 if self._thread.is_alive() else PATIENCE)
        untold = f"{len(self._due)} trials" if self._due else "how the study ended"
        return f"{untold} ({self._problem})" if self._problem else None

    def _news(self, number: int) -> None:
        with self._changed:
            self._due[number] = None
            self._fresh.add(number)
            self._changed.notify()

    def _tell_all(self) -> None:
        while True:
            with self._changed:
                while not self._due and self._closing is None:
                    self._changed.wait()
                number = next(iter(self._due), None)  # None: all trials are told, and there are no more
                self._fresh.discard(number)
            try:
                self._tell(number)
            except Exception as error:
                self._problem = in_short(error)
                if isinstance(error, Gone):
                    self._writer = None
                logging.getLogger(__name__).info("MLflow was not told of %s", number, exc_info=True)
                with self._changed:
                    if number is not None:
                        self._due[number] = self._due.pop(number)  # the others first
                    if self._closing is not None and time.monotonic() > self._closing:
                        return
                    self._changed.wait(RETRY_SECONDS if self._closing is None else CLOSING_SECONDS)
                continue
            if number is None:
                return
            with self._changed:
                if number not in self._fresh:  # no news since
                    del self._due[number]

    def _tell(self, number: int | None) -> None:
        if self._writer is None:
            if number is None:
                return  # there was nothing to tell
            self._writer = self._make_writer(self._subject, self._study.records())
        if number is None:
            self._writer.end_study(self._study.records())
        else:
            params, folder = self._study.trial(number).params, self._study.trial_folder(number)
            self._writer.tell(self._study.record(number), params, folder)
        self._problem = None
        if self._closing is not None:
            self._closing = max(self._closing, time.monotonic() + RETRY_SECONDS)
