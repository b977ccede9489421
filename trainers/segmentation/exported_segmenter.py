"""Loads an export as an MLflow model. Stored in the registry with the export, so it must not import this project.

mlflow.pyfunc.load_model("models:/follow_me@champion").predict({"images": images})
"""

from pathlib import Path
from typing import Any

import numpy as np


class ExportedSegmenter:
    """The SavedModel of an export."""

    def __init__(self, export: Path) -> None:
        import tensorflow as tf

        self._tensorflow = tf
        self._segment = tf.saved_model.load(str(export / "saved_model")).signatures["serving_default"]

    def predict(
        self, inputs: dict[str, np.ndarray], params: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """{"images": (N, H, W, 3) uint8 RGB} -> {"masks": (N, H, W) uint8 class indices}."""
        images = np.asarray(inputs["images"], np.uint8)
        return {"masks": self._segment(images=self._tensorflow.constant(images))["masks"].numpy()}


def _load_pyfunc(path: str) -> ExportedSegmenter:
    """MLflow's entry point."""
    return ExportedSegmenter(Path(path))
