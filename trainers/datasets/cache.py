"""Builds a folder of the cache whole or not at all, once, however many processes ask for it or die."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from trainers.datasets.dataset import MANIFEST, Dataset, read_manifest
from trainers.errors import UserError


@contextmanager
def disk_errors_as_user_errors(where: Path) -> Iterator[None]:
    """Turn a full or a read-only disk into one line."""
    full = f"the disk is full at {where}; free some space, or choose another cache folder"
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_FULL" or error.sqlite_errorname.startswith("SQLITE_IOERR_WRITE"):
            raise UserError(full) from None
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(full) from None
        named = Path(str(error.filename or where))
        if not named.is_relative_to(where):
            raise UserError(f"{named}: cannot be read: {error.strerror}") from None
        raise UserError(f"{where}: cannot be written: {error.strerror}; choose another folder") from None


def lock_file(cache: Path, folder_name: str) -> Path:
    """What a process holds while it builds `folder_name`."""
    return cache / f".{folder_name}.lock"


def build_once(cache: Path, folder_name: str, build: Callable[[Path], Dataset]) -> Dataset:
    """The dataset in `cache/folder_name`, built by `build` in a folder beside it when it is not there.

    build: fills the empty folder it is given and returns the Dataset that lies in it.
    Raises UserError when the cache cannot be written; nothing half-written is left.
    """
    folder = cache / folder_name
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    with disk_errors_as_user_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        lock = lock_file(cache, folder_name)
        lock.touch()  # FileLock would wait for ever for a folder in which nothing can be made
        with FileLock(lock):
            if (folder / MANIFEST).is_file():
                return read_manifest(folder)
            partial = cache / f".{folder_name}.partial"
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: we hold its lock
            partial.mkdir()
            try:
                build(partial).write_manifest(partial)
                partial.replace(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return read_manifest(folder)
