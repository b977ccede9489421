"""The lock on a study: one driver at a time. The kernel releases it when the driver exits, even by `kill -9`."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from trainers.errors import UserError


class StudyLock:
    """A file lock (flock) on `path`; the file names the process that holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises UserError, naming the holder, when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"{self._path.parent}: in use by {self._holder()}; wait, or stop it first"
            ) from None
        os.ftruncate(descriptor, 0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        os.write(
            descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}).encode()
        )
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; without effect when it is not held."""
        if self._descriptor is not None:
            # unlock explicitly: a child that another thread is just forking holds the descriptor until its exec
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def _holder(self) -> str:
        try:
            holder = json.loads(self._path.read_text())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, KeyError):  # the holder has not written its name yet
            return "another process"
