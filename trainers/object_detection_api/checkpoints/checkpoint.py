"""A trial's checkpoint: a folder written whole or not at all, and the weights that a trial may start from."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import tensorflow as tf

from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.object_detection_api.checkpoints.snapshot import Snapshot
from trainers.object_detection_api.checkpoints.weights import variable_shapes
from trainers.object_detection_api.disk import os_errors
from trainers.object_detection_api.graph import Graph
from trainers.recipe import Recipe

PROGRESS = "progress.json"
PREFIX = "ckpt"


def write(snapshot: Snapshot, recipe: Recipe, step: int, directory: Path) -> None:
    """Write model, optimizer, averages and step. The place in the data follows from the step and the recipe.

    snapshot: of `graph.saved(...)` at that step. Raises OSError when the disk is full, or may not be written.
    """
    with replace_folder(directory) as folder:
        with os_errors(directory):
            snapshot.write(folder / PREFIX)
        progress = {"step": step, "recipe_id": recipe.recipe_id, "but_for_steps": _but_for_steps(recipe)}
        (folder / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")


def step_of(recipe: Recipe, directory: Path) -> int:
    """The step of the checkpoint in `directory`.

    A trial that is given more steps goes on from the checkpoint it has. Raises UserError if it is another trial's.
    """
    try:
        progress = json.loads((directory / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{directory}: not a checkpoint that can be read: {error}") from None
    if _but_for_steps(recipe) != progress.get("but_for_steps") and recipe.recipe_id != progress["recipe_id"]:
        raise UserError(f"{directory}: holds recipe {progress['recipe_id']}, not {recipe.recipe_id}")
    return int(progress["step"])


def read(graph: Graph, recipe: Recipe, directory: Path) -> None:
    """Set the graph's variables from `directory`."""
    graph.saved(recipe.optimizer, recipe.averaging is not None).restore(directory / PREFIX)


def _but_for_steps(recipe: Recipe) -> str:
    fields = json.dumps(recipe.identity() | {"steps": None}, sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()[:12]


def initialize_from(graph: Graph, prefix: Path, part: str) -> None:
    """Set a part of the model's variables from a zoo checkpoint, or one of its structure.

    Raises UserError when the checkpoint lacks a variable of that part or has it in another shape.
    """
    objects = graph.detector.model.restore_from_objects(fine_tune_checkpoint_type=part)
    if part == "classification" and not any(
        name.startswith("feature_extractor/") for name in variable_shapes(prefix)
    ):
        # the API looks for a bare backbone's checkpoint; in a detector's, the zoo's too, the backbone is further down
        extractor = tf.train.Checkpoint(classification_backbone=objects["feature_extractor"])
        objects = {"model": tf.train.Checkpoint(_feature_extractor=extractor)}
    try:
        status = tf.train.Checkpoint(**objects).read(str(prefix)).expect_partial()
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        line = " ".join(str(error).split())[:300]
        hint = " (another number of classes? take part 'detection')" if part == "full" else ""
        raise UserError(f"{prefix}: does not fit the model as '{part}' weights{hint}: {line}") from None


def remove(directory: Path) -> None:
    """Delete a checkpoint."""
    shutil.rmtree(directory, ignore_errors=True)
