"""Writes a trained segmentation model as an export, and proves that its masks equal the trained model's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.datasets.dataset import Dataset
from trainers.errors import TrialFailed
from trainers.files import replace_folder
from trainers.keras_training import saved_model
from trainers.segmentation import export as format_
from trainers.segmentation import metrics
from trainers.segmentation.data.masked_image import MaskedImage
from trainers.segmentation.export import Proof
from trainers.segmentation.exported_segmenter import RAREST_FIRST, REGION_VOTE
from trainers.segmentation.graph import Graph, masks_of, squared
from trainers.segmentation.segmenter import SegmentationRecipe

PROVEN_IMAGES = 100  # for the comparison of the SavedModel with the trained model
SAMPLE_IMAGES = 8  # kept in the export


@dataclass(frozen=True)
class Decision:
    """What is made of the network's logits.

    offsets: (C,) float32, added to them in the SavedModel. region_vote, rarest_first: arguments of one_class_regions,
    which whoever serves its masks calls; they are in the manifest.
    """

    offsets: np.ndarray
    region_vote: float
    rarest_first: tuple[int, ...]


class _Serving:
    """images (N, H, W, 3) uint8 RGB -> masks (N, H, W) uint8, and logits (N, S, S, C) float32, adjusted."""

    def __init__(self, graph: Graph, offsets: np.ndarray) -> None:
        self._predict = graph.predict
        self._offsets = offsets
        self._side = graph.image_size

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")], autograph=False
    )
    def segment(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = tf.ensure_shape(squared(images, self._side), [None, self._side, self._side, 3])
        logits = self._predict(inputs) + self._offsets
        shape = tf.shape(images)
        return {"masks": masks_of(logits, shape[1], shape[2]), format_.LOGITS: logits}


def export(
    graph: Graph,
    decision: Decision,
    recipe: SegmentationRecipe,
    dataset: Dataset,
    step: int,
    trained: Iterable[tuple[MaskedImage, np.ndarray]],
    directory: Path,
) -> None:
    """Write the export into `directory`; atomic.

    trained: validation images, and the trained model's masks of them as evaluated in training,
        before the vote.
    Raises TrialFailed if the export's masks differ from these.
    """
    with replace_folder(directory) as folder:
        serving = _Serving(graph, decision.offsets)
        saved_model.write(folder / format_.SAVED_MODEL, "segment", serving.segment, graph.model.variables)
        saved = tf.saved_model.load(str(folder / format_.SAVED_MODEL))
        proof, samples = _compared(saved, dataset.classes, trained)
        if problem := proof.problem():
            raise TrialFailed(f"the export differs from the trained model: {problem}")
        np.savez_compressed(folder / format_.SAMPLES, allow_pickle=False, **samples)
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        about = {
            "recipe_id": recipe.recipe_id,
            "model": recipe.model,
            "step": step,
            REGION_VOTE: decision.region_vote,
            RAREST_FIRST: list(decision.rarest_first),
            "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        }
        format_.seal(folder, dataset.classes, graph.image_size, proof, about)


def _compared(
    saved: Any, classes: tuple[str, ...], trained: Iterable[tuple[MaskedImage, np.ndarray]]
) -> tuple[Proof, dict[str, np.ndarray]]:
    """The proof, one image of its own size at a time, and the arrays of samples.npz."""
    of_trained: list[metrics.ImageResult] = []
    of_exported: list[metrics.ImageResult] = []
    samples: dict[str, np.ndarray] = {}
    differing = pixels = 0
    for number, (image, mask) in enumerate(trained):
        shown = image.pixels()
        found = saved.segment(tf.constant(shown[np.newaxis]))["masks"].numpy()[0]
        differing += int((found != mask).sum())
        pixels += mask.size
        for results, each in ((of_trained, mask), (of_exported, found)):
            results.append(metrics.ImageResult(metrics.confusion(image.mask, each, len(classes))))
        if number < SAMPLE_IMAGES:
            samples |= {f"image_{number}": shown, f"mask_{number}": found}
    before, after = (metrics.evaluate(results, classes)["mIoU"] for results in (of_trained, of_exported))
    return Proof(len(of_trained), before, after, differing / max(pixels, 1)), samples
