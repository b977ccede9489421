"""Files of a source: walked in a fixed order, never left by a path or a link that leads outside."""

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


# the name of a file that is not there, or of none that could be
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


class UnsafePath(Exception):
    """A file name leads out of the source's folder; the message names it."""


def walk(root: Path, *suffixes: str) -> Iterator[Path]:
    """Every file below `root` whose name ends so, in any case; in alphabetical order, nothing hidden.

    What `passed_over` names is left out.
    """
    return _walked(root, lambda name: name.lower().endswith(suffixes or ""))


def walk_matching(root: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """Every file below `root` in whose name the pattern is found, as `walk` has them."""
    return _walked(root, lambda name: pattern.search(name) is not None)


def _walked(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    for entry in _entries(root):
        if wanted(entry.name) and not _reason_to_skip(entry, root):
            yield Path(entry.path)


def file_states(root: Path) -> Iterator[str]:
    """A line for every file that `walk` finds below `root`, or for itself, which changes when the file does."""
    if not root.is_dir():
        about = root.lstat()
        yield f"{root.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n"
        return
    for entry in _entries(root.absolute()):
        if not _reason_to_skip(entry, root):
            about = entry.stat(follow_symlinks=False)
            yield f"{entry.path}\0{about.st_size}\0{about.st_mtime_ns}\n"


def skipped_files(root: Path) -> Iterator[tuple[Path, str]]:
    """What `walk` leaves out of a folder though it is not hidden, and why."""
    for entry in _entries(root):
        if reason := _reason_to_skip(entry, root):
            yield Path(entry.path), reason


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Every file and link below a folder; links to folders are not entered."""
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
        return f"it leads out of the folder, to {os.path.realpath(entry.path)}; put there what it leads to"
    return ""


def is_not_utf8(name: str) -> bool:
    """Whether a file's name is no text in UTF-8; Python then keeps its bytes as surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in name)


def escapes(path: str | Path, root: Path) -> bool:
    """Whether links on the way to `path` lead out of `root`."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8. Raises UserError when it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from None


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """How a file begins, without a byte order mark."""
    with path.open("rb") as file:
        return file.read(count).removeprefix(b"\xef\xbb\xbf")


def inside(root: Path, *names: str | Path) -> Path:
    """`root` / names. Raises Outside when a name is absolute, climbs out, or is a link that leads out."""
    path = root
    for name in names:
        pure = PurePosixPath(str(name).replace("\\", "/"))
        if pure.is_absolute() or PureWindowsPath(str(name)).drive or ".." in pure.parts or "\0" in str(name):
            raise UnsafePath(f"{str(name)!r} leads out of {root}")
        path = path / pure
    if escapes(path, root):
        raise UnsafePath(f"{path} is a link that leads out of {root}")
    return path


def relative(path: Path, root: Path) -> str:
    """The name of `path` inside `root`, with forward slashes; for a root that is itself a file, its name."""
    text, top = str(path), f"{root}{os.sep}"
    if text.startswith(top):  # ten times as fast as pathlib
        return text[len(top) :].replace(os.sep, "/")
    return path.name if path == root else path.relative_to(root).as_posix()


def part_of(path: Path, root: Path) -> str | None:
    """The part that folders or a name speak of: `images/val/1.jpg`, `train.tfrecord-00000-of-00002`."""
    for name in (*reversed(path.relative_to(root).parts[:-1] if path != root else ()), path.name):
        words = name.lower().replace("-", " ").replace("_", " ").replace(".", " ").split()
        for part, spellings in _PARTS.items():
            if any(word.rstrip("0123456789") in spellings for word in words):
                return part
    return None


class ImageFolders:
    """Finds images that labels in one file name, among the folders around that file.

    A file of labels for one part is never given an image of another part's folder: names repeat there.

    top: the folder in which images are looked for.
    """

    def __init__(self, labels: Path, root: Path) -> None:
        """labels: the file. root: the source; a source that is the file itself is looked for in its folder."""
        self.top = root if root.is_dir() else labels.parent
        own = part_of(labels, root if root.is_dir() else labels)
        folders = [self.top, *_folders(self.top)]
        if not root.is_dir() and not any(_holds_images(folder) for folder in folders):
            self.top = labels.parent.parent
            folders = [self.top, *_folders(self.top)]
        of = {folder: part_of(folder / "_", self.top) for folder in folders}
        allowed = [folder for folder in folders if own is None or of[folder] in (own, None)]
        # beside the labels first, then where the part is named
        self._folders = sorted(allowed, key=lambda folder: (folder != labels.parent, of[folder] != own))
        self._last = self._folders[0]

    def find(self, *names: str) -> Path:
        """The file called so, by the first name that is there; one that is not there if none is. Raises Outside."""
        for name in names:
            plain = "/" not in name and "\\" not in name and name not in ("", ".", "..") and "\0" not in name
            for folder in (self._last, *self._folders):
                path = folder / name if plain else inside(self.top, folder.relative_to(self.top), name)
                try:
                    about = os.lstat(path)
                except OSError as error:
                    if error.errno in _NO_SUCH_FILE:
                        continue
                    raise
                if not stat.S_ISREG(about.st_mode):  # a link, which must not lead out
                    path = inside(self.top, path.relative_to(self.top))
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
