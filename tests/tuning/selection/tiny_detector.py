"""An export of a real, tiny detector: two boxes in each image, the likelier the brighter the image is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers.datasets.label_map import write_label_map
from trainers.detection import export as exports
from trainers.detection.export import Framing
from trainers.files import replace_folder

SIZE = 16  # pixels
BOXES = [[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]
OTHERS = 0.05  # of the first class's score
SUPPRESSION = {"iou": 0.6, "score": 1e-8, "of_class": 100, "in_all": 100}


def write(folder: Path, classes: Sequence[str], suppression: Mapping[str, Any] | None = SUPPRESSION) -> None:
    """Write the export. The first class scores the image's brightness, 0 to 1, in one box, and half in the other."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, name="images")])
    def detect(images: tf.Tensor) -> dict[str, tf.Tensor]:
        bright = tf.reduce_mean(tf.cast(images, tf.float32) / 255.0, [1, 2, 3])[:, None]
        scores = tf.concat([bright, bright / 2], 1)
        boxes = tf.zeros_like(scores)[:, :, None] + tf.constant([BOXES])
        return {
            "detection_boxes": boxes, "detection_scores": scores, "detection_classes": tf.ones_like(scores),
            "num_detections": tf.zeros_like(bright[:, 0]) + 2.0, "raw_detection_boxes": boxes,
            "raw_detection_scores": scores[:, :, None] * tf.constant([1.0, *[OTHERS] * (len(classes) - 1)]),
            "embedding": tf.concat([bright, 1 - bright], 1),
        }  # fmt: skip

    with replace_folder(folder) as new:
        module = tf.Module()
        module.detect = detect
        tf.saved_model.save(module, str(new / exports.SAVED_MODEL), {"serving_default": detect})
        write_label_map(new / exports.LABEL_MAP, classes)
        about = {"detector": "tiny", "suppression": suppression}
        exports.seal(new, tuple(classes), Framing(SIZE, "stretch"), 0.5, about)
