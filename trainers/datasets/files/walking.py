"""Walks the files of a source in a fixed order, without those that lead out of its folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from trainers.datasets.files.paths import escapes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


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
