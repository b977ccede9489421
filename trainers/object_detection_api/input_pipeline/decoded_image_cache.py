"""DecodedImageCache: decoded images in files shared by a machine's workers, for data too large for their memory."""

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

_VERSION = 2  # of what is stored; that of other versions is ignored
# of all datasets together (6,200 images of 1280 x 720), and at most half of the free disk space
CACHE_BYTES = 16 * 2**30


class DecodedImageCache:
    """Cached folders in `root`, by key. Beyond `limit` bytes, the least recently used ones are removed unless in use."""

    def __init__(self, root: Path | None = None, limit: int = CACHE_BYTES) -> None:
        self._root = root or user_cache("decoded")
        self._limit = limit
        # a shared lock on each folder in use; the kernel releases it when the process ends
        self._held: list[TextIO] = []

    def folder(self, key: str, size: int, fill: Callable[[Path], None]) -> Path | None:
        """The folder for `key`, which `fill` writes if it does not exist; None if there is no room for `size` bytes.

        If several processes ask for it, one fills it and the others wait. It is locked as long as this object exists.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        folder, lock = self._root / key, (self._root / f"{key}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir() and self._make_room(size):
                with replace_folder(folder) as new:
                    fill(new)
            fcntl.flock(lock, fcntl.LOCK_SH)
            # it does not exist if there was no room, or if another process made room between the two locks
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
        """Remove the folder, unless a process is using or writing it; returns whether it is gone."""
        key = folder.name.removeprefix(".").partition(".")[0]
        with (self._root / f"{key}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            shutil.rmtree(folder, ignore_errors=True)  # another process may have removed it
            return not folder.exists()


def _sizes(root: Path) -> dict[Path, int]:
    """Bytes of each folder, least recently used first; ignores folders that disappear meanwhile."""
    found: list[tuple[float, Path, int]] = []
    for folder in root.iterdir():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append((folder.stat().st_mtime, folder, size))
    return {folder: size for _, folder, size in sorted(found)}


def key_of(part: Part, fingerprint: str) -> str:
    """The cache key of a part of the dataset with this fingerprint."""
    files = [(file.name, file.stat().st_size) for file in part.files]
    return hashlib.sha256(repr((_VERSION, fingerprint, part.images, files)).encode()).hexdigest()[:16]
