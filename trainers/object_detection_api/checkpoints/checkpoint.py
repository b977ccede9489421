"""Restores a graph from a trial's checkpoint (keras_training.checkpoint), and initializes it from published ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from trainers.errors import UserError
from trainers.keras_training.checkpoint import PREFIX
from trainers.object_detection_api.checkpoints import class_rows
from trainers.object_detection_api.checkpoints.class_names import class_names
from trainers.object_detection_api.checkpoints.reading import variable_shapes
from trainers.object_detection_api.graph import Graph
from trainers.recipe import InitialWeights, Recipe


def read(graph: Graph, recipe: Recipe, directory: Path) -> None:
    """Restore the graph's variables from the checkpoint in `directory`, the optimizer's too."""
    graph.saved(recipe.optimizer, recipe.averaging is not None).restore(directory / PREFIX)


def read_weights(graph: Graph, recipe: Recipe, directory: Path) -> None:
    """Restore the model's variables, and their averages, from the checkpoint in `directory`."""
    graph.weights(recipe.averaging is not None).restore(directory / PREFIX)


def initialize_from(graph: Graph, prefix: Path, start: InitialWeights, classes: Sequence[str]) -> None:
    """Initialize a part of the model's variables from a zoo checkpoint, or one with the same structure.

    prefix: of the checkpoint, or the HDF5 file of a backbone's weights. start: which part. classes: own names, in the
        order of their label ids, for part "boxes".
    Raises UserError if a variable of that part is missing or has another shape.
    """
    part = start.part
    architecture, model = graph.detector.architecture, graph.detector.model
    if prefix.suffix == ".h5":
        architecture.load_backbone(model, prefix)
        return
    if part == "boxes":
        objects = dict(architecture.all_but_classes(model))
    else:
        objects = model.restore_from_objects(fine_tune_checkpoint_type=part)
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
    if part == "boxes":
        known = class_names(start.source, prefix)
        layers, background = architecture.class_layers(model), architecture.background_outputs(model)
        class_rows.take_over(layers, prefix, classes, known, background)


def remove(directory: Path) -> None:
    """Delete a checkpoint."""
    shutil.rmtree(directory, ignore_errors=True)
