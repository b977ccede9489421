"""The bounded cache of checkpoints in the working copies of a machine: only what the store has is deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trainers.errors import UserError

LIMIT_VARIABLE = "DETECTOR_TUNING_STUDIES_CACHE_GB"
DEFAULT_GB = 50.0
MARK = ".uploaded"  # in a checkpoint's folder


def mark_uploaded(checkpoint: Path) -> None:
    """Note that the store has the checkpoint, so that it may be deleted here. The checkpoint may be gone already."""
    if checkpoint.is_dir():
        (checkpoint / MARK).touch()


def make_room(root: Path, keep: Path) -> int:
    """Delete the checkpoints that have not been used for longest, until the limit is kept. Returns the bytes deleted.

    root: folder of all working copies. keep: the folder of the trial that is about to be trained.
    """
    limit = limit_bytes()
    sizes = _sizes(root)
    used, deleted = sum(sizes.values()), 0
    for path in sorted(sizes, key=_used_at):
        if used - deleted <= limit:
            break
        if path.parent != keep and (path / MARK).is_file():
            shutil.rmtree(path, ignore_errors=True)
            deleted += sizes[path]
    return deleted


def limit_bytes() -> int:
    """The limit of this machine, from the environment."""
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_GB)
    try:
        return round(float(text) * 1e9)
    except ValueError:
        raise UserError(f"{LIMIT_VARIABLE}={text}: expected a number of gigabytes") from None


def _sizes(root: Path) -> dict[Path, int]:
    """The checkpoints of all trials, and their bytes."""
    while True:
        try:
            return {path: _size(path) for path in root.glob("*/*/trials/*/checkpoint-*") if path.is_dir()}
        except FileNotFoundError:  # another worker has deleted one of its own meanwhile
            continue


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _used_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another worker has deleted it
        return 0.0
