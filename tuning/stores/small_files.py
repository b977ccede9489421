"""Small files of a working copy: which of them differ from the store's, pulled and pushed by content.

`.pulled.json` in the working copy has the tag of each object as it was when the file was last equal to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainers.datasets.files.paths import UnsafePath, safe_join
from trainers.errors import UserError
from trainers.files import write_bytes
from tuning.stores.store import Entry, Store

INDEX = ".pulled.json"
AT_ONCE = 8


class SmallFiles:
    """The small files of the working copy `folder`, of the objects whose keys begin with `prefix`."""

    def __init__(self, store: Store, prefix: str, folder: Path) -> None:
        self._store = store
        self._prefix = prefix
        self._folder = folder
        self._tags = _read_index(folder / INDEX)
        self._pushed: dict[str, tuple[int, int]] = {}  # modification time and size, by name

    def tag(self, name: str) -> str:
        """The tag of the object that the file `name` was last equal to; "" if there was none."""
        return self._tags.get(name, "")

    def forget(self) -> None:
        """The files here were deleted."""
        self._tags, self._pushed = {}, {}

    def pull(self, entries: Iterable[Entry]) -> int:
        """Write those of the objects that have changed since the last pull, or are missing here. Returns how many."""
        changed = []
        for entry in entries:
            name = entry.key.removeprefix(self._prefix)
            try:
                path = safe_join(self._folder, name)
            except UnsafePath:
                raise UserError(
                    f"{self._store.uri}/{entry.key}: points outside its folder; delete it"
                ) from None
            if self._tags.get(name) != entry.tag or not path.is_file():
                changed.append((name, path))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, tag in pool.map(lambda each: self._get(*each), changed):
                self._tags[name] = tag
        if changed:
            self.save()
        return len(changed)

    def adopt(self, name: str, entries: Iterable[Entry]) -> None:
        """Take the listed object as the one that the file `name` was last equal to: no other process has written it."""
        for entry in entries:
            if entry.key == self._prefix + name:
                self._tags[name] = entry.tag

    def state(self, name: str) -> tuple[int, int] | None:
        """Modification time and size of the file; None if there is none."""
        try:
            stat = (self._folder / name).stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def push(
        self, name: str, expected: str | None = None, other: tuple[bytes, tuple[int, int]] | None = None
    ) -> bool:
        """Write the file to the store if it has changed since the last push. Returns whether it was written.

        expected: as in Store.write. other: what is written in place of the file's content, and its `state` before that
        was read. Raises Conflict.
        """
        state = self.state(name) if other is None else other[1]
        if state is None or self._pushed.get(name) == state:
            return False
        body = (self._folder / name).read_bytes() if other is None else other[0]
        self._tags[name] = self._store.write(self._prefix + name, body, expected)
        self._pushed[name] = state
        return True

    def save(self) -> None:
        """Write the index."""
        write_bytes(self._folder / INDEX, json.dumps(self._tags).encode())

    def _get(self, name: str, path: Path) -> tuple[str, str]:
        found = self._store.read(self._prefix + name)
        if found is None:  # deleted since it was listed
            return name, ""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, found[0])
        return name, found[1]


def _read_index(path: Path) -> dict[str, str]:
    try:
        found: Mapping[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return dict(found)
    except (FileNotFoundError, ValueError):
        return {}
