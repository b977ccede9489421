"""The TensorFlow backend of segmentation models: runs the export's SavedModel, and takes its logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serve.backends.tensorflow import load
from trainers.segmentation.export import LOGITS, Export


class TensorFlowSegmenter:
    """Runs on a GPU if TensorFlow finds one, otherwise on the CPU, with `threads` threads."""

    streams = 1
    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        import tensorflow as tf

        self._model = load(export.saved_model, threads)
        self._segment = self._model.signatures["serving_default"]
        self._constant = tf.constant

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[np.ndarray]:
        """See Backend; (S, S, C) float32 logits of each."""
        return list(self._segment(images=self._constant(images))[LOGITS].numpy())
