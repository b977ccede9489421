"""The TensorFlow backend: runs the export's SavedModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve.backends.backend import found
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays


class TensorFlow:
    """Runs on a GPU if TensorFlow finds one, otherwise on the CPU.

    threads: CPU threads; the first model loaded in a process decides them for the process.
    """

    streams = 1
    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        import tensorflow as tf

        self._model = load(export.saved_model, threads)
        self._detect = self._model.signatures["serving_default"]
        self._constant = tf.constant

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[DetectionArrays]:
        """See Backend."""
        out = self._detect(images=self._constant(images))
        return found(
            out["detection_boxes"].numpy(),
            out["detection_scores"].numpy(),
            out["detection_classes"].numpy(),
            out["num_detections"].numpy(),
        )


def load(saved_model: Path, threads: int) -> Any:
    """The loaded SavedModel. threads: CPU threads; the first model loaded in a process decides them for the process."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:  # TensorFlow is already running in this process and keeps its threads
        pass
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.saved_model.load(str(saved_model))
