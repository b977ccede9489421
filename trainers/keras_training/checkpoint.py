"""Checkpoints of trials: folders with the variables of model and optimizer and the step, written atomically."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.keras_training.disk_errors import os_errors
from trainers.keras_training.snapshot import Snapshot
from trainers.recipe import Recipe

PROGRESS = "progress.json"
PREFIX = "ckpt"


def write(snapshot: Snapshot, recipe: Recipe, step: int, directory: Path) -> None:
    """Write model, optimizer, averages and step. The position in the data follows from the step and the recipe.

    snapshot: of `graph.saved(...)` at that step. Raises OSError if the disk is full or not writable.
    """
    with replace_folder(directory) as folder:
        with os_errors(directory):
            snapshot.write(folder / PREFIX)
        progress = {"step": step, "recipe_id": recipe.recipe_id, "but_for_steps": _but_for_steps(recipe)}
        (folder / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")


def step_of(recipe: Recipe, directory: Path) -> int:
    """The step of the checkpoint in `directory`.

    Raises UserError if it cannot be read or belongs to another recipe; a different number of steps is allowed.
    """
    try:
        progress = json.loads((directory / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{directory}: cannot be read as a checkpoint: {error}") from None
    if _but_for_steps(recipe) != progress.get("but_for_steps") and recipe.recipe_id != progress["recipe_id"]:
        raise UserError(
            f"{directory}: is a checkpoint of recipe {progress['recipe_id']}, not {recipe.recipe_id}"
        )
    return int(progress["step"])


def _but_for_steps(recipe: Recipe) -> str:
    fields = json.dumps(recipe.identity() | {"steps": None}, sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()[:12]
