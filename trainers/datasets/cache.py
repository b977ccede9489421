"""Builds a dataset in the cache: atomically, and once even if several processes ask for it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from trainers.datasets.dataset import MANIFEST, Dataset, read_manifest
from trainers.errors import UserError


@contextmanager
def disk_errors_as_user_errors(where: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a UserError; `where` is the folder being written."""
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


@contextmanager
def created(folder: Path) -> Iterator[None]:
    """A context with the folder and its parents. Those that were made for it are removed if it fails, unless in use."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty: another process uses it
            for each in missing:
                each.rmdir()
        raise


def build_once(cache: Path, folder_name: str, build: Callable[[Path], Dataset]) -> Dataset:
    """The dataset in `cache/folder_name`; `build` makes it if it does not exist yet.

    build: fills the empty folder that it is given, and returns the Dataset in it. The folder gets its final name only
        after that.
    Raises UserError when the cache cannot be written. No partial folder and no lock is left, nor a cache that was made
    for it.
    """
    folder = cache / folder_name
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    with disk_errors_as_user_errors(cache), created(cache):
        lock = cache / f".{folder_name}.lock"
        lock.touch()  # raises in a read-only folder, where FileLock would wait for ever
        with FileLock(lock):
            try:
                if not (folder / MANIFEST).is_file():
                    _build(cache, folder_name, build)
            finally:
                lock.unlink(
                    missing_ok=True
                )  # while it is held: whoever waits for it notices, and makes a new one
    return read_manifest(folder)


def _build(cache: Path, folder_name: str, build: Callable[[Path], Dataset]) -> None:
    partial = cache / f".{folder_name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed process, since we hold the lock
    partial.mkdir()
    try:
        build(partial).write_manifest(partial)
        partial.replace(cache / folder_name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
