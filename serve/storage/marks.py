"""Mark: the id of the deployment that a data folder, or a store of files, belongs to. Its database has the same."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol

from serve.storage.s3 import answered
from trainers.files import write_text
from tuning.stores.store import Conflict, Store


class Mark(Protocol):
    """place: what is marked, for messages. uri: of a store, "" for a folder."""

    place: str
    uri: str

    def read(self) -> str | None:
        """The deployment's id; None if it is not prepared. Raises UserError."""

    def write(self, deployment: str) -> None:
        """Mark it, unless it is marked already."""


class FolderMark:
    """A file in a folder that all machines of the deployment share."""

    def __init__(self, path: Path) -> None:
        self._path, self.place, self.uri = path, str(path.parent), ""

    def read(self) -> str | None:
        """See Mark."""
        return self._path.read_text(encoding="utf-8") if self._path.is_file() else None

    def write(self, deployment: str) -> None:
        """See Mark."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self.read() is None:
            write_text(self._path, deployment)


class StoreMark:
    """An object in a store."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key, self.place, self.uri = store, key, store.uri, store.uri

    def read(self) -> str | None:
        """See Mark."""
        with answered():
            found = self._store.read(self._key)
        return None if found is None else found[0].decode()

    def write(self, deployment: str) -> None:
        """See Mark."""
        with answered(), contextlib.suppress(Conflict):  # it is marked
            self._store.write(self._key, deployment.encode(), expected="")
