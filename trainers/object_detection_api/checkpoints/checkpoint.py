"""Checkpoints of trials (folders, written atomically), and initialization from published checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import tensorflow as tf

from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.keras_training.disk_errors import os_errors
from trainers.keras_training.snapshot import Snapshot
from trainers.object_detection_api.checkpoints.weights import variable_shapes
from trainers.object_detection_api.graph import Graph
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


def read(graph: Graph, recipe: Recipe, directory: Path) -> None:
    """Restore the graph's variables from the checkpoint in `directory`."""
    graph.saved(recipe.optimizer, recipe.averaging is not None).restore(directory / PREFIX)


def _but_for_steps(recipe: Recipe) -> str:
    fields = json.dumps(recipe.identity() | {"steps": None}, sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()[:12]


def initialize_from(graph: Graph, prefix: Path, part: str) -> None:
    """Initialize part of the model's variables from a zoo checkpoint, or one with the same structure.

    part: as in InitialWeights. Raises UserError if a variable of that part is missing or has another shape.
    """
    objects = graph.detector.model.restore_from_objects(fine_tune_checkpoint_type=part)
    if part == "classification" and not any(
        name.startswith("feature_extractor/") for name in variable_shapes(prefix)
    ):
        # the API expects a checkpoint of the backbone alone; in a detector's checkpoint, it is nested more deeply
        extractor = tf.train.Checkpoint(classification_backbone=objects["feature_extractor"])
        objects = {"model": tf.train.Checkpoint(_feature_extractor=extractor)}
    try:
        status = tf.train.Checkpoint(**objects).read(str(prefix)).expect_partial()
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        line = " ".join(str(error).split())[:300]
        hint = " (a different number of classes? use part 'detection')" if part == "full" else ""
        raise UserError(f"{prefix}: does not fit the model as '{part}' weights{hint}: {line}") from None


def remove(directory: Path) -> None:
    """Delete a checkpoint."""
    shutil.rmtree(directory, ignore_errors=True)
