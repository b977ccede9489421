"""Loads an export as an MLflow model. Stored in the registry with the export, so it must not import this project.

mlflow.pyfunc.load_model("models:/street@champion").predict({"images": images})
"""

from pathlib import Path
from typing import Any

import numpy as np

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


class ExportedDetector:
    """The SavedModel of an export."""

    def __init__(self, export: Path) -> None:
        import tensorflow as tf

        self._tensorflow = tf
        self._detect = tf.saved_model.load(str(export / "saved_model")).signatures["serving_default"]

    def predict(
        self, inputs: dict[str, np.ndarray], params: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """{"images": (N, H, W, 3) uint8 RGB} -> detection_boxes (N, D, 4) [ymin, xmin, ymax, xmax] normalised,
        detection_scores (N, D), detection_classes (N, D) from 1, num_detections (N,)."""
        images = np.asarray(inputs["images"], np.uint8)
        found = self._detect(images=self._tensorflow.constant(images))
        return {name: found[name].numpy() for name in OUTPUTS}


def _load_pyfunc(path: str) -> ExportedDetector:
    """MLflow's entry point."""
    return ExportedDetector(Path(path))
