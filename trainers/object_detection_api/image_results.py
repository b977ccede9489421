"""The results of an evaluation, image by image, from a batch and what the model detects in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from trainers.detection.coco_metrics import ImageResult
from trainers.detection.truth import Truth
from trainers.object_detection_api.input_pipeline.batches import Batch


def image_results(batch: Batch, found: Mapping[str, tf.Tensor], truths: Sequence[Truth]) -> list[ImageResult]:
    """The results of the first images of a batch, whose truth it is, with boxes in pixels of the original images."""
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    sizes, inside = batch["original_shape"].numpy(), batch["true_image_shape"].numpy()
    padded = batch["image"].shape[1]
    results = []
    for i, true in enumerate(truths):
        size, count = np.tile(sizes[i], 2), int(arrays["count"][i])
        results.append(
            ImageResult(
                height=int(sizes[i][0]),
                width=int(sizes[i][1]),
                true_boxes=true.boxes * size,
                true_classes=true.classes,
                crowd=true.crowd,
                boxes=arrays["boxes"][i][:count] * (padded / np.tile(inside[i][:2], 2) * size),
                classes=arrays["classes"][i][:count].astype(int),
                scores=arrays["scores"][i][:count],
                ignored=true.ignored,
                areas=true.areas,
            )
        )
    return results
