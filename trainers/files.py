"""Atomic and durable writing of files and folders, even if the process is killed."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from trainers.errors import UserError


def user_cache(name: str) -> Path:
    """The folder `name` in the user's cache; whatever is in it can be created again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "detector-tuning" / name


def write_text(path: Path, text: str) -> None:
    """Replace the content of a file by `text` in UTF-8, atomically and durably."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace the content of a file, atomically and durably. mode: its permissions, from the first moment on."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace a file by a compressed NumPy archive of the arrays, without pickles; atomic and durable."""
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    write_bytes(path, archive.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive by name; empty if there is no such file. Raises UserError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())}); delete it") from None


@contextlib.contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """A context with an empty folder to fill, which at its end, without an exception, replaces `path` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file():
                sync(file)
        folder.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.rename(old / path.name)
            folder.rename(path)
            shutil.rmtree(old)
        else:
            folder.rename(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sync(path: Path) -> None:
    """Write a file's content, or a folder's entries, to the disk, so that a power cut does not lose them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
