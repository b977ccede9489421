"""Writes a trained detector as a SavedModel with a batched signature, beside what serving needs to know of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainers.datasets.dataset import Dataset
from trainers.files import replace_folder
from trainers.object_detection_api.graph import Graph
from trainers.object_detection_api.model import learning_phase
from trainers.recipe import Recipe

MANIFEST = "manifest.json"


class _Serving(tf.Module):
    """images (N, H, W, 3) uint8 -> detection_boxes (N, 100, 4), detection_scores, detection_classes (from 1), ..."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._model = graph.detector.model
        self._padded = float(graph.detector.image_size)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def detect(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        with learning_phase(False):
            inputs, shapes = self._model.preprocess(tf.cast(images, tf.float32))
            found: dict[str, Any] = self._model.postprocess(self._model.predict(inputs, shapes), shapes)
        # from the padded input's frame into the image's own
        scale = tf.tile(self._padded / tf.cast(shapes[:, :2], tf.float32), [1, 2])[:, tf.newaxis, :]
        return {
            "detection_boxes": tf.clip_by_value(found["detection_boxes"] * scale, 0.0, 1.0),
            "detection_scores": found["detection_scores"],
            "detection_classes": found["detection_classes"] + 1.0,
            "num_detections": found["num_detections"],
        }


def export(graph: Graph, recipe: Recipe, dataset: Dataset, step: int, directory: Path) -> None:
    """Write `saved_model/`, `recipe.yaml` and `manifest.json` into `directory`, whole or not at all."""
    serving = _Serving(graph)
    with replace_folder(directory) as folder:
        tf.saved_model.save(
            serving, str(folder / "saved_model"), signatures={"serving_default": serving.detect}
        )
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        manifest = {
            "recipe_id": recipe.recipe_id,
            "detector": recipe.detector,
            "image_size": recipe.image_size,
            "step": step,
            "classes": list(dataset.classes),
            "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
