"""Secrets of a deployment, as small texts: in files that only their owner can read, or in its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from serve.deployment.database import Database
from trainers.files import write_bytes


class Secret(Protocol):
    """A text that all processes of a deployment read and change."""

    def read(self) -> str | None:
        """The text; None before the first change."""

    def change(self, new: Callable[[str | None], str]) -> str:
        """Replace the text by what `new` makes of it, one process after another; returns it."""


class SecretFile:
    """See Secret. In a file, whose permissions are its owner's from its first moment on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """See Secret."""
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def change(self, new: Callable[[str | None], str]) -> str:
        """See Secret."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock", mode=0o600):
            before = self.read()
            text = new(before)
            if text != before:
                write_bytes(self._path, text.encode(), mode=0o600)
        return text


class SecretRow:
    """See Secret. In the table `notes` of the database, for machines that share no disk."""

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._name = database, name

    def read(self) -> str | None:
        """See Secret."""
        with self._database.reading() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (self._name,)).fetchone()
        return None if row is None else str(row["value"])

    def change(self, new: Callable[[str | None], str]) -> str:
        """See Secret."""
        with self._database.transaction() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (self._name,)).fetchone()
            text = new(None if row is None else str(row["value"]))
            db.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (self._name, text),
            )
        return text
