"""Finds the files of a source in a fixed order, and keeps paths and links from leaving its folder."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainers.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")

_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "eval", "dev"),
    "test": ("test", "testing"),
}


# errors of a name for which there is no file, or cannot be one
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


class UnsafePath(Exception):
    """A file name points outside the source's folder; the message names it."""


def walk(root: Path, *suffixes: str) -> Iterator[Path]:
    """Every file below `root` with one of the suffixes, in any case, in alphabetical order.

    Hidden files and those of `skipped_files` are left out.
    """
    return _walked(root, lambda name: name.lower().endswith(suffixes or ""))


def walk_matching(root: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """As `walk`, for files whose name matches the pattern somewhere."""
    return _walked(root, lambda name: pattern.search(name) is not None)


def _walked(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    for entry in _entries(root):
        if wanted(entry.name) and not _reason_to_skip(entry, root):
            yield Path(entry.path)


def file_states(root: Path) -> Iterator[str]:
    """A line with path, size and time for every file that `walk` finds below `root`, or for `root` if it is a file."""
    if not root.is_dir():
        about = root.lstat()
        yield f"{root.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n"
        return
    for entry in _entries(root.absolute()):
        if not _reason_to_skip(entry, root):
            about = entry.stat(follow_symlinks=False)
            yield f"{entry.path}\0{about.st_size}\0{about.st_mtime_ns}\n"


def skipped_files(root: Path) -> Iterator[tuple[Path, str]]:
    """The files that `walk` skips although they are not hidden, and why."""
    for entry in _entries(root):
        if reason := _reason_to_skip(entry, root):
            yield Path(entry.path), reason


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Every file and link below a folder; links to folders are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(
            (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
        )
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path)
        else:
            yield entry


def _reason_to_skip(entry: os.DirEntry[str], root: Path) -> str:
    if not entry.path.isprintable() and is_not_utf8(entry.path):
        return "its name is not UTF-8; rename it"
    if entry.is_symlink() and escapes(entry.path, root):
        return f"a link out of the folder, to {os.path.realpath(entry.path)}; replace it with its target"
    return ""


def is_not_utf8(name: str) -> bool:
    """Whether a file name is not UTF-8; Python then represents its bytes as surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in name)


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


def part_of(path: Path, root: Path) -> str | None:
    """The part that a folder or file name states, as in `images/val/1.jpg` or `train.tfrecord-00000-of-00002`."""
    for name in (*reversed(path.relative_to(root).parts[:-1] if path != root else ()), path.name):
        words = name.lower().replace("-", " ").replace("_", " ").replace(".", " ").split()
        for part, spellings in _PARTS.items():
            if any(word.rstrip("0123456789") in spellings for word in words):
                return part
    return None


class ImageFolders:
    """Finds the images that a label file names, in the folders around that file.

    A label file of one part never gets an image from the folder of another part, since file names may repeat.

    top: the folder that is searched.
    """

    def __init__(self, labels: Path, root: Path) -> None:
        """labels: the label file. root: the source. If both are the same file, its folder is searched."""
        self.top = root if root.is_dir() else labels.parent
        own = part_of(labels, root if root.is_dir() else labels)
        folders = [self.top, *_folders(self.top)]
        if not root.is_dir() and not any(_holds_images(folder) for folder in folders):
            self.top = labels.parent.parent
            folders = [self.top, *_folders(self.top)]
        of = {folder: part_of(folder / "_", self.top) for folder in folders}
        allowed = [folder for folder in folders if own is None or of[folder] in (own, None)]
        # first the folder of the label file, then those that state its part
        self._folders = sorted(allowed, key=lambda folder: (folder != labels.parent, of[folder] != own))
        self._last = self._folders[0]

    def find(self, *names: str) -> Path:
        """The first of `names` that exists in one of the folders; a path that does not exist if there is none.

        Raises UnsafePath.
        """
        for name in names:
            plain = "/" not in name and "\\" not in name and name not in ("", ".", "..") and "\0" not in name
            for folder in (self._last, *self._folders):
                path = folder / name if plain else safe_join(self.top, folder.relative_to(self.top), name)
                try:
                    about = os.lstat(path)
                except OSError as error:
                    if error.errno in _NO_SUCH_FILE:
                        continue
                    raise
                if not stat.S_ISREG(about.st_mode):  # maybe a link out of the folder
                    path = safe_join(self.top, path.relative_to(self.top))
                    if not path.is_file():
                        continue
                self._last = folder
                return path
        return self._last / names[-1]


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in entries)


def _folders(root: Path, depth: int = 5) -> Iterator[Path]:
    with os.scandir(root) as entries:
        found = sorted(
            e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")
        )
    for name in found:
        yield root / name
        if depth:
            yield from _folders(root / name, depth - 1)
