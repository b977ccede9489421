"""DecodedStore: decoded images in files, for data too large for each worker's memory. A machine's workers share it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from trainers.datasets.dataset import Part
from trainers.files import replace_folder, user_cache

# of all parts together: 6,200 images of 1280 x 720; and never more than half of a disk's room
STORED_BYTES = 16 * 2**30


class DecodedStore:
    """Folders by key in `root`. Beyond `limit` bytes, those that were used longest ago and by nobody now are removed."""

    def __init__(self, root: Path | None = None, limit: int = STORED_BYTES) -> None:
        self._root = root or user_cache("decoded")
        self._limit = limit
        # a shared lock on each folder in use; the kernel lets it go with the process
        self._held: list[TextIO] = []

    def folder(self, key: str, size: int, fill: Callable[[Path], None]) -> Path | None:
        """The folder of `key`, which `fill` writes if it is not there yet; None where `size` bytes have no room.

        Of several processes one fills it, and the others wait. It stays until this store is gone.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        folder, lock = self._root / key, (self._root / f"{key}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir() and self._make_room(size):
                with replace_folder(folder) as new:
                    fill(new)
            fcntl.flock(lock, fcntl.LOCK_SH)
            # it is not there without room, or if another process made some between the two locks
            if folder.is_dir():
                os.utime(folder)
                self._held.append(lock)
                return folder
            return None
        finally:
            if lock not in self._held:
                lock.close()

    def _make_room(self, size: int) -> bool:
        sizes = _sizes(self._root)
        room = min(self._limit, sum(sizes.values()) + shutil.disk_usage(self._root).free // 2)
        if size > room:
            return False
        for folder in list(sizes):
            if sum(sizes.values()) + size <= room:
                break
            if self._remove(folder):
                del sizes[folder]
        return sum(sizes.values()) + size <= room

    def _remove(self, folder: Path) -> bool:
        """Remove it unless somebody uses it, or is just writing it."""
        key = folder.name.removeprefix(".").partition(".")[0]
        with (self._root / f"{key}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            shutil.rmtree(folder, ignore_errors=True)  # another may have been quicker
            return not folder.exists()


def _sizes(root: Path) -> dict[Path, int]:
    """Bytes of each folder, those that were used longest ago first; what vanishes meanwhile is left out."""
    found: list[tuple[float, Path, int]] = []
    for folder in root.iterdir():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append((folder.stat().st_mtime, folder, size))
    return {folder: size for _, folder, size in sorted(found)}


def key_of(part: Part, fingerprint: str) -> str:
    """Of a part of the dataset with this fingerprint."""
    files = [(file.name, file.stat().st_size) for file in part.files]
    return hashlib.sha256(repr((fingerprint, part.images, files)).encode()).hexdigest()[:16]
