"""WriterProcess: runs a MLflowWriter in a subprocess, so that MLflow logging cannot block the search.

    python -m tuning.tracking.writer_process

reads pickled messages from standard input: first the writer's arguments, then requests, each a method's name and its
arguments. It replies to each request with None or with the error. It exits at the end of its input, so it never outlives
the driver.
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
from tuning.tracking.mlflow_writer import MLflowWriter, WriterSettings

NICENESS = 10  # below the driver and the workers, for which the user waits
CLOSE_SECONDS = 30.0  # that `close` waits for the request in progress
CLOSED = (
    EOFError,
    pickle.UnpicklingError,
)  # the other end of the pipe is gone, perhaps in the middle of a message
# MLflow's codes of errors that the same request would meet again
PERMANENT = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)
LOCK_NAME = "mlflow.lock"  # in the study's folder: the writer of a killed driver may still be running


class LoggingFailed(Exception):
    """A request failed; the message says why, in one line. permanent: the same request will fail again."""

    def __init__(self, message: str, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class WriterGone(LoggingFailed):
    """The subprocess has exited; a new one is needed."""


class WriterProcess:
    """A MLflowWriter's methods, run in the subprocess. Its errors become LoggingFailed."""

    def __init__(self, settings: WriterSettings, earlier_trials: Sequence[TrialRecord]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tuning.tracking.writer_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
            start_new_session=True,  # Ctrl-C must reach the driver only
            env=os.environ | {"PYTHONPATH": python_path()},
        )  # fmt: skip
        self._send((settings, earlier_trials))

    def log_trial(self, record: TrialRecord, suggested: Mapping[str, Any], folder: Path) -> None:
        """MLflowWriter.log_trial."""
        self._request("log_trial", record, dict(suggested), folder)

    def end_study(self, trials: Sequence[TrialRecord]) -> None:
        """MLflowWriter.end_study."""
        self._request("end_study", trials)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """End the process; kill it if it has not exited after `timeout` seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _request(self, *message: Any) -> None:
        self._send(message)
        assert self._process.stdout is not None
        try:
            reply = pickle.load(self._process.stdout)
        except CLOSED:
            raise self._writer_gone() from None
        if reply is not None:
            line, trace, permanent = reply
            raise LoggingFailed(line, permanent) from RuntimeError(trace)

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._writer_gone() from None

    def _writer_gone(self) -> WriterGone:
        self.close()
        self._stderr.seek(0)
        last = " ".join(self._stderr.read().decode(errors="replace").split())[-200:]
        return WriterGone(f"the writer process ended with code {self._process.returncode}: {last}")


def one_line(error: Exception) -> str:
    """An error as one line of at most 300 characters."""
    name = "" if isinstance(error, UserError | LoggingFailed) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[:300]


def is_permanent(error: Exception) -> bool:
    """Whether the same request will fail again: the store has refused it, and is neither busy nor away."""
    if isinstance(error, LoggingFailed):
        return error.permanent
    code = getattr(error, "error_code", None)  # of an MlflowException
    return isinstance(error, UserError) or code in PERMANENT


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Serve requests until the input ends. The writer is made at the first request; if that fails, at the next one."""
    settings, earlier_trials = pickle.load(requests)
    writer: MLflowWriter | None = None
    with FileLock(settings.folder / LOCK_NAME):
        while True:
            try:
                name, *arguments = pickle.load(requests)
            except CLOSED:
                return
            reply = None
            try:
                writer = writer or MLflowWriter(settings, earlier_trials)
                getattr(writer, name)(*arguments)
            except Exception as error:  # noqa: BLE001 - sent as the reply
                reply = one_line(error), traceback.format_exc(), is_permanent(error)
            pickle.dump(reply, replies)
            replies.flush()


def main() -> None:
    """Serve the driver that started this process."""
    os.nice(NICENESS)
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)  # what libraries print must not be taken for a reply
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
