"""Files of a source: walked in a fixed order, never left by a path or a link that leads outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")

_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "eval", "dev"),
    "test": ("test", "testing"),
}


class Outside(Exception):
    """A file name leads out of the source's folder; the message names it."""


def walk(root: Path, *suffixes: str) -> Iterator[Path]:
    """Every file below `root` whose name ends so, in any case; in alphabetical order, nothing hidden."""
    with os.scandir(root) as entries:
        found = sorted(
            (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
        )
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path), *suffixes)
        elif entry.name.lower().endswith(suffixes or ""):
            yield Path(entry.path)


def inside(root: Path, *names: str | Path) -> Path:
    """`root` / names. Raises Outside when a name is absolute, climbs out, or is a link that leads out."""
    path = root
    for name in names:
        pure = PurePosixPath(str(name).replace("\\", "/"))
        if pure.is_absolute() or PureWindowsPath(str(name)).drive or ".." in pure.parts or "\0" in str(name):
            raise Outside(f"{str(name)!r} leads out of {root}")
        path = path / pure
    if not path.resolve().is_relative_to(root.resolve()):
        raise Outside(f"{path} is a link that leads out of {root}")
    return path


def relative(path: Path, root: Path) -> str:
    """The name of `path` inside `root`, with forward slashes; for a root that is itself a file, its name."""
    return path.name if path == root else path.relative_to(root).as_posix()


def part_of(path: Path, root: Path) -> str | None:
    """The part that folders or a name speak of: `images/val/1.jpg`, `train.tfrecord-00000-of-00002`."""
    for name in (*reversed(path.relative_to(root).parts[:-1] if path != root else ()), path.name):
        words = name.lower().replace("-", " ").replace("_", " ").replace(".", " ").split()
        for part, spellings in _PARTS.items():
            if any(word.rstrip("0123456789") in spellings for word in words):
                return part
    return None
