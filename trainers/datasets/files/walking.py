"""Walks the files of a source in a fixed order, without those that lead out of its folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path

from trainers.datasets.files.paths import escapes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def walk(root: Path, *suffixes: str) -> Iterator[Path]:
    """Every file below `root` with one of the suffixes, in any case, in alphabetical order.

    Hidden files and those of `skipped_files` are left out.
    """
    return map(Path, walk_paths(root, *suffixes))


def walk_paths(root: Path, *suffixes: str) -> Iterator[str]:
    """As `walk`, as text: to make a Path takes as long as to find the file."""
    return _walked(root, lambda name: name.lower().endswith(suffixes or ""))


def suffixes_below(root: Path) -> set[str]:
    """The suffixes of the files that `walk` finds, in lower case."""
    found: set[str] = set()
    for entry in _entries(root):
        spelt = os.path.splitext(entry.name)[1]  # noqa: PTH122 - called for every file
        if spelt not in found and not _reason_to_skip(entry, root):
            found.add(spelt)
    return {spelt.lower() for spelt in found}


def has_files(root: Path, count: int) -> bool:
    """Whether there are at least `count` files below `root`, counting no hidden ones."""
    return next(islice(_entries(root), count - 1, None), None) is not None


def walk_matching(root: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """As `walk`, for files whose name matches the pattern somewhere."""
    return map(Path, _walked(root, lambda name: pattern.search(name) is not None))


def _walked(root: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    for entry in _entries(root):
        if wanted(entry.name) and not _reason_to_skip(entry, root):
            yield entry.path


def file_states(root: Path) -> Iterator[str]:
    """A line with path, size and time for every file that `walk` finds below `root`, or for `root` if it is a file.

    Size and time of a link are those of the file that it leads to.
    """
    if not root.is_dir():
        about = root.stat()
        yield f"{root.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n"
        return
    for entry in _entries(root.absolute()):
        if not _reason_to_skip(entry, root):
            try:
                about = entry.stat()
            except OSError:  # a link to nothing
                about = entry.stat(follow_symlinks=False)
            yield f"{entry.path}\0{about.st_size}\0{about.st_mtime_ns}\n"


def skipped_files(root: Path) -> Iterator[tuple[Path, str]]:
    """The files that `walk` skips although they are not hidden, and why."""
    for entry in _entries(root):
        if reason := _reason_to_skip(entry, root):
            yield Path(entry.path), reason


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Every file and link below a folder; links to folders are not followed."""
    open_folders = [
        _entries_of(folder)
    ]  # a loop, since a generator of each folder would pass on each of its files
    while open_folders:
        for entry in open_folders[-1]:
            if entry.is_dir(follow_symlinks=False):
                open_folders.append(_entries_of(entry.path))
                break
            yield entry
        else:
            open_folders.pop()


def _entries_of(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder and not hidden, by name."""
    with os.scandir(folder) as entries:
        return iter(sorted([entry for entry in entries if entry.name[0] != "."], key=attrgetter("name")))


def _reason_to_skip(entry: os.DirEntry[str], root: Path) -> str:
    if not entry.path.isprintable() and is_not_utf8(entry.path):
        return "its name is not UTF-8; rename it"
    if entry.is_symlink() and escapes(entry.path, root):
        return f"a link out of the folder, to {os.path.realpath(entry.path)}; replace it with its target"
    return ""


def is_not_utf8(name: str) -> bool:
    """Whether a file name is not UTF-8; Python then represents its bytes as surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in name)
