"""Joins, resolves and reads paths of a source, and keeps them inside its folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainers.errors import UserError


class UnsafePath(Exception):
    """A file name points outside the source's folder; the message names it."""


def escapes(path: str | Path, root: Path) -> bool:
    """Whether `path`, with all links resolved, is outside `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file. Raises UserError if it cannot be read as such."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """The first bytes of a file, without a byte order mark."""
    with path.open("rb") as file:
        return file.read(count).removeprefix(b"\xef\xbb\xbf")


def safe_join(root: Path, *names: str | Path) -> Path:
    """`root` joined with `names`. Raises UnsafePath if a name is absolute, contains `..`, or is a link out of `root`."""
    path = root
    for name in names:
        pure = PurePosixPath(str(name).replace("\\", "/"))
        if pure.is_absolute() or PureWindowsPath(str(name)).drive or ".." in pure.parts or "\0" in str(name):
            raise UnsafePath(f"{str(name)!r} is outside {root}")
        path = path / pure
    if escapes(path, root):
        raise UnsafePath(f"{path} is a link to outside {root}")
    return path


def relative(path: Path, root: Path) -> str:
    """The path of `path` relative to `root`, with forward slashes; the file name if `path` is `root`."""
    text, top = str(path), f"{root}{os.sep}"
    if text.startswith(top):  # ten times as fast as pathlib, and called for every image
        return text[len(top) :].replace(os.sep, "/")
    return path.name if path == root else path.relative_to(root).as_posix()
