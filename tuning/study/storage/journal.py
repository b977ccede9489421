"""The study's Optuna journal file: Optuna's format, with a backend that survives a driver killed while writing.

Optuna's own backend syncs the disk at every parameter of every trial, waits 30 s for the lock of a killed process, and
cannot read past a half-written line once another follows it. This one has a single writer (the study's lock ensures it),
syncs at each rung and verdict, and sets a half-written last line aside when the study is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from trainers.errors import UserError


class StudyJournal(BaseJournalBackend):
    """Journal backend on the file `path`, for one writing process; others may read it with JournalFileBackend.

    Opening it moves a half-written last line (of a killed driver) to `<path>.cut`. Raises UserError when any other line
    cannot be read.
    durable: whether `sync` calls fsync.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._repair()
        self._file = path.open("ab")
        self._offsets = [0]  # byte offset of each log number

    def _repair(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                json.loads(line)
            except ValueError:
                raise UserError(
                    f"{self._path}: line {number} is damaged; restore the file from your backup, or delete that line "
                    "and all after it to keep the trials before it"
                ) from None
        if whole < len(content):
            with self._path.with_name(self._path.name + ".cut").open("ab") as kept:
                kept.write(content[whole:] + b"\n")
            with self._path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Every operation from number `log_number_from` on."""
        start = min(log_number_from, len(self._offsets) - 1)
        with self._path.open("rb") as file:
            file.seek(self._offsets[start])
            for number, line in enumerate(file, start=start):
                if number + 1 == len(self._offsets):
                    self._offsets.append(self._offsets[number] + len(line))
                if number >= log_number_from:
                    yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write the operations: they survive a kill at once, a power cut only after `sync`."""
        self._file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())
        self._file.flush()

    def sync(self) -> None:
        """Flush to disk (fsync) what was appended."""
        if self._durable:
            os.fsync(self._file.fileno())

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._file.closed

    def close(self) -> None:
        """Sync and close the file."""
        self.sync()
        self._file.close()
