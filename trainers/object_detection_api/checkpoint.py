"""A trial's checkpoint: a folder written whole or not at all, and the weights that a trial may start from."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.object_detection_api.graph import Graph
from trainers.recipe import InitialWeights, Recipe

PROGRESS = "progress.json"
PREFIX = "ckpt"


def _tracked(graph: Graph, recipe: Recipe) -> tf.train.Checkpoint:
    """What a checkpoint holds; `model` has the zoo's names, so that it can be fine-tuned from like the zoo's."""
    objects: dict[str, Any] = {
        "model": graph.detector.model,
        "optimizer": graph.update(recipe.optimizer).optimizer,
    }
    if recipe.averaging is not None:
        objects["averaging"] = graph.averaging
    return tf.train.Checkpoint(**objects)


def save(graph: Graph, recipe: Recipe, step: int, directory: Path) -> None:
    """Write model, optimizer, averages and step. The place in the data follows from the step and the recipe."""
    with replace_folder(directory) as folder:
        _tracked(graph, recipe).write(str(folder / PREFIX))
        progress = {"step": step, "recipe_id": recipe.recipe_id}
        (folder / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")


def load(graph: Graph, recipe: Recipe, directory: Path) -> int:
    """Set the graph's variables from `directory` and return its step. Raises UserError if it is another trial's."""
    try:
        progress = json.loads((directory / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{directory}: not a checkpoint that can be read: {error}") from None
    if progress["recipe_id"] != recipe.recipe_id:
        raise UserError(f"{directory}: holds recipe {progress['recipe_id']}, not {recipe.recipe_id}")
    _tracked(graph, recipe).read(str(directory / PREFIX)).assert_existing_objects_matched()
    return int(progress["step"])


def initialize_from(graph: Graph, weights: InitialWeights) -> None:
    """Set a part of the model's variables from a zoo checkpoint, or one of its structure.

    Raises UserError when the checkpoint lacks a variable of that part or has it in another shape.
    """
    prefix = checkpoint_prefix(Path(weights.source))
    objects = graph.detector.model.restore_from_objects(fine_tune_checkpoint_type=weights.part)
    try:
        status = tf.train.Checkpoint(**objects).read(str(prefix)).expect_partial()
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        line = " ".join(str(error).split())[:300]
        hint = " (another number of classes? take part 'detection')" if weights.part == "full" else ""
        raise UserError(
            f"{prefix}: does not fit the model as '{weights.part}' weights{hint}: {line}"
        ) from None


def checkpoint_prefix(path: Path) -> Path:
    """The TensorFlow checkpoint that a file prefix, a checkpoint folder or an unpacked zoo archive means."""
    for folder in (path, path / "checkpoint"):
        if folder.is_dir():
            indices = sorted(folder.glob("*.index"), key=os.path.getmtime)
            if indices:
                return indices[-1].with_suffix("")
    if path.with_name(path.name + ".index").is_file():
        return path
    raise UserError(f"{path}: no TensorFlow checkpoint (a .index file) is there")


def remove(directory: Path) -> None:
    """Delete a checkpoint."""
    shutil.rmtree(directory, ignore_errors=True)
