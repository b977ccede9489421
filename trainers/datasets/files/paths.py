"""Joins, resolves and reads paths of a source, and keeps them inside its folder."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainers.errors import UserError

# errors of a name for which there is no file, or cannot be one
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
_NAME_BYTES = 180
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_PLAIN = re.compile(r"[/\\:\0]")
_DEEPEST = 12  # components of a stated path that are looked at


class BadImageName(Exception):
    """An image name in labels that leads to no image, or to no single one. kind: that of the problem to report."""

    kind = "ambiguous image name"


class UnsafePath(BadImageName):
    """A file name points outside the source's folder; the message names it."""

    kind = "path outside the folder"


def escapes(path: str | Path, root: Path) -> bool:
    """Whether `path`, with all links resolved, is outside `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8, or in UTF-16 with its mark. Raises UserError if it is neither."""
    try:
        data = path.read_bytes()
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def encoding_of(path: Path) -> str:
    """The name of UTF-16 for a text file that begins with its mark, otherwise of UTF-8, with or without one."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF16 else "utf-8-sig"


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """The first bytes of a file, without a byte order mark; those of UTF-16 as UTF-8."""
    with path.open("rb") as file:
        data = file.read(count)
    if data.startswith(_UTF16):
        return data.decode("utf-16", "ignore").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def contains(path: Path, pattern: re.Pattern[bytes]) -> bool:
    """Whether a file contains a pattern of less than a kilobyte; reads only up to it. UTF-16 counts as UTF-8."""
    with path.open("rb") as file:
        before = b""
        decoder: codecs.IncrementalDecoder | None = None
        while chunk := file.read(1 << 16):
            if not before and chunk.startswith(_UTF16):
                decoder = codecs.getincrementaldecoder("utf-16")("ignore")
            chunk = decoder.decode(chunk).encode() if decoder else chunk
            if pattern.search(before + chunk):
                return True
            before = chunk[-1024:]
    return False


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


def shortened(name: str) -> str:
    """The first _NAME_BYTES of a source's name: what names a folder after it adds to it, and that may have 255."""
    data = name.encode("utf-8", "surrogateescape")
    return name if len(data) <= _NAME_BYTES else data[:_NAME_BYTES].decode("utf-8", "ignore")


def relative(path: Path, root: Path) -> str:
    """The path of `path` relative to `root`, with forward slashes; the file name if `path` is `root`."""
    text, top = str(path), f"{root}{os.sep}"
    if text.startswith(top):  # ten times as fast as pathlib, and called for every image
        return text[len(top) :].replace(os.sep, "/")
    return path.name if path == root else path.relative_to(root).as_posix()


def leads_out(stated: str) -> bool:
    """Whether a stated path is absolute or goes up: it says where an image once was, not where it is in a source."""
    plain = stated.replace("\\", "/")
    return (
        plain.startswith("/")
        or bool(PureWindowsPath(stated).drive)
        or ".." in plain.split("/")
        or "\0" in stated
    )


def names_below(stated: str) -> list[str]:
    """The relative paths that a stated path may mean in another folder: `photos/a/1.jpg`, `a/1.jpg` and `1.jpg`.

    A drive, a leading slash, and all up to the last `..` are left out: they say where the image once was. An empty list
    if the path names no file.
    """
    if not _NOT_PLAIN.search(stated) and stated not in ("", ".", ".."):
        return [stated]  # the usual case, for speed
    parts = (
        PurePosixPath(PureWindowsPath(stated).as_posix()).parts
        if "\\" in stated
        else PurePosixPath(stated).parts
    )
    while parts and (".." in parts or parts[0].endswith(("/", ":"))):
        parts = parts[1:]
    if "\0" in stated or (parts and parts[-1].endswith(":")):
        return []
    parts = parts[-_DEEPEST:]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def is_file_inside(path: str, top: Path) -> bool:
    """Whether `path` is a file. Raises UnsafePath if it is one by a link to outside `top`."""
    try:
        about = os.lstat(path)
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            return False
        raise
    except ValueError:  # a character that no file name has
        return False
    if stat.S_ISREG(about.st_mode):
        return True
    if not stat.S_ISLNK(about.st_mode) or not Path(path).is_file():
        return False
    if escapes(path, top):
        raise UnsafePath(f"{path} is a link to outside {top}")
    return True
