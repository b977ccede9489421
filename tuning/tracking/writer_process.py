"""WriterProcess: a MLflowWriter in a process of its own, so that what MLflow computes holds up no search.

    python -m tuning.tracking.writer_process

reads pickled messages from its standard input: first a MLflowWriter's parameters, then a method's name and its
arguments; it answers each of these with None, or with the error. It ends with its input, so it never outlives the
driver.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from trainers.errors import UserError
from tuning.execution.python_path import python_path
from tuning.study.trial_record import TrialRecord
from tuning.tracking.mlflow_writer import MLflowWriter, Subject

NICENESS = 10  # the driver is waited for, and this is not
PATIENCE = 30.0  # for what it is doing when it is told to end
ENDED = (EOFError, pickle.UnpicklingError)  # whoever writes has ended, perhaps in the middle of a message
LOCK = "mlflow.lock"  # of the study's folder: a killed driver's process may be about to end


class NotTold(Exception):
    """MLflow could not be told; the message says why in a line."""


class Gone(NotTold):
    """The process has ended, and another is needed."""


class WriterProcess:
    """Does what a MLflowWriter does. A MLflowWriter's errors become NotTold."""

    def __init__(self, subject: Subject, earlier: Sequence[TrialRecord]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is there as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tuning.tracking.writer_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
            start_new_session=True,  # Ctrl-C is the search's
            env=os.environ | {"PYTHONPATH": python_path()},
        )  # fmt: skip
        self._send((subject, earlier))

    def tell(self, record: TrialRecord, suggested: Mapping[str, Any], folder: Path) -> None:
        """As a MLflowWriter's."""
        self._ask("tell", record, dict(suggested), folder)

    def end_study(self, trials: Sequence[TrialRecord]) -> None:
        """As a MLflowWriter's."""
        self._ask("end_study", trials)

    def close(self, patience: float = PATIENCE) -> None:
        """End the process; kill it, if it does not end within `patience` seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(patience)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _ask(self, *message: Any) -> None:
        self._send(message)
        assert self._process.stdout is not None
        try:
            answer = pickle.load(self._process.stdout)
        except ENDED:
            raise self._gone() from None
        if answer is not None:
            line, trace = answer
            raise NotTold(line) from RuntimeError(trace)

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def _gone(self) -> Gone:
        self.close()
        self._said.seek(0)
        last = " ".join(self._said.read().decode(errors="replace").split())[-200:]
        return Gone(f"the process that tells it ended with code {self._process.returncode}: {last}")


def in_short(error: Exception) -> str:
    """An error as a line."""
    name = "" if isinstance(error, UserError | NotTold) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[:300]


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends. The writer is made at the first request, and again if making it failed."""
    subject, earlier = pickle.load(questions)
    writer: MLflowWriter | None = None
    with FileLock(subject.folder / LOCK):
        while True:
            try:
                name, *arguments = pickle.load(questions)
            except ENDED:
                return
            answer = None
            try:
                writer = writer or MLflowWriter(subject, earlier)
                getattr(writer, name)(*arguments)
            except Exception as error:  # noqa: BLE001 - it becomes the answer
                answer = in_short(error), traceback.format_exc()
            pickle.dump(answer, answers)
            answers.flush()


def main() -> None:
    """Serve the driver that started this process."""
    os.nice(NICENESS)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
