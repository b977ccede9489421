"""File names in a trial's folder: checkpoints, the trainer's own files, pictures."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = "checkpoint-"  # followed by the step; these folders are written atomically
RECIPE = "recipe.yaml"  # written by the driver before a worker gets the trial
FILES = "files.json"  # the names of the trainer's own files, written after they are
PICTURES = "pictures"  # folder, here and in the artifacts of the trial's MLflow run


def newest_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """(step, folder) of the newest complete checkpoint in a trial's folder; None if there is none."""
    found = [
        (int(entry.name.removeprefix(CHECKPOINT)), entry)
        for entry in folder.glob(f"{CHECKPOINT}*")
        if entry.name.removeprefix(CHECKPOINT).isdigit()
    ]
    return max(found, default=None)
