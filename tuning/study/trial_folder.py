"""What lies in a trial's folder besides its recipe: checkpoints, the trainer's own files, pictures."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = "checkpoint-"  # and the step: a folder that is whole, or not there
FILES = "files.json"  # the names of the trainer's own files, written after them
PICTURES = "pictures"  # a folder; of a trial's MLflow run's artifacts too


def newest_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The step and the folder of a trial's newest whole checkpoint."""
    found = [
        (int(entry.name.removeprefix(CHECKPOINT)), entry)
        for entry in folder.glob(f"{CHECKPOINT}*")
        if entry.name.removeprefix(CHECKPOINT).isdigit()
    ]
    return max(found, default=None)
