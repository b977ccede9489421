"""Network: runs an export's SavedModel on batches of images, and gives the class scores of each detection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.detection.export import Export, read
from tuning.selection.scored import Found
from tuning.selection.strategy import LEAST_SCORE


class Network:
    """The detector of an export. Raises UserError if the folder is none.

    embeddings: the length of an image's embedding; 0 for an export of an earlier version, which has none.
    """

    def __init__(self, folder: Path) -> None:
        self.export: Export = read(folder)
        import tensorflow as tf

        self._tensorflow = tf
        self._model = tf.saved_model.load(str(self.export.saved_model))
        self._detect = self._model.signatures["serving_default"]
        shape = self._detect.structured_outputs.get("embedding")
        self.embeddings = 0 if shape is None else int(shape.shape[-1])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.export.classes

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (S, S, 3) uint8, as serving resizes it."""
        return self.export.framing.square(image)

    def run(
        self, squares: np.ndarray, sizes: Sequence[tuple[int, int]]
    ) -> list[tuple[Found, np.ndarray | None]]:
        """Detections, boxes normalised to the images, and embedding of each of N images.

        squares: (N, S, S, 3) uint8. sizes: (height, width) of the images that they were made from.
        """
        out = {
            name: value.numpy()
            for name, value in self._detect(images=self._tensorflow.constant(squares)).items()
        }
        return [
            (
                self._found({name: value[i] for name, value in out.items()}, height, width),
                out["embedding"][i] if self.embeddings else None,
            )
            for i, (height, width) in enumerate(sizes)
        ]

    def _found(self, out: dict[str, Any], height: int, width: int) -> Found:
        keep = out["detection_scores"][: int(out["num_detections"])] >= LEAST_SCORE
        count = int(keep.sum())  # the best are first
        boxes, scores = out["detection_boxes"][:count], out["detection_scores"][:count]
        classes = out["detection_classes"][:count].astype(int) - 1
        raw_boxes = out["raw_detection_boxes"].clip(0.0, 1.0)
        probabilities = np.empty((count, len(self.classes)), np.float32)
        for i in range(count):
            # suppression keeps boxes and scores as they are, so a detection is the raw one that is most equal to it
            off = np.abs(out["raw_detection_scores"][:, classes[i]] - scores[i])
            off = off + 1e-3 * np.abs(raw_boxes - boxes[i]).sum(axis=1)
            probabilities[i] = out["raw_detection_scores"][int(off.argmin())]
        return Found(self.export.framing.restore(boxes, height, width), probabilities)
