"""The file in which Optuna keeps a study: its own journal format, made safe against a driver killed in mid-write.

Optuna's backend syncs the disk at every parameter of every trial, waits 30 s for the lock of a killed process, and
cannot read on once something was appended to a half-written line. Here one driver writes (the study's lock sees to
that), syncs when a rung or a verdict is in, and a half-written last line is set aside when the study is opened.
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
    """Optuna's journal in the file `path`, for one writing process; any other may read it with JournalFileBackend.

    Opening it cuts off a half-written last line (the operation that was being written when the driver was killed)
    and keeps the cut part in `<path>.cut`. Raises UserError when a line before it cannot be read.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._repair()
        self._file = path.open("ab")
        self._offsets = [0]  # where each log number starts

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
                    f"{self._path}: line {number} is damaged; the trials before it can be kept by deleting that line "
                    "and all after it, or restored from your backup"
                ) from None
        if whole < len(content):
            with self._path.with_name(self._path.name + ".cut").open("ab") as kept:
                kept.write(content[whole:] + b"\n")
            with self._path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Every operation from `log_number_from` on."""
        start = min(log_number_from, len(self._offsets) - 1)
        with self._path.open("rb") as file:
            file.seek(self._offsets[start])
            for number, line in enumerate(file, start=start):
                if number + 1 == len(self._offsets):
                    self._offsets.append(self._offsets[number] + len(line))
                if number >= log_number_from:
                    yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Hand the operations to the operating system: safe from a kill, and from a power cut after `sync`."""
        self._file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())
        self._file.flush()

    def sync(self) -> None:
        """Have the disk hold all that was appended."""
        if self._durable:
            os.fsync(self._file.fileno())

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._file.closed

    def close(self) -> None:
        """Sync, and end writing."""
        self.sync()
        self._file.close()
