"""Loads an export as an MLflow model. Stored in the registry with the export, so it must not import this project.

mlflow.pyfunc.load_model("models:/follow_me@champion").predict({"images": images})
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

REGION_VOTE, RAREST_FIRST = "region_vote", "rarest_first"  # in an export's manifest


def one_class_regions(mask: np.ndarray, share: float, rarest_first: Sequence[int]) -> np.ndarray:
    """(H, W) uint8 class indices -> the same, but that a region has one class.

    A region is what is connected (by sides or corners) of all classes but the first, 0. Of `rarest_first`, the first
    class that has at least `share` of its pixels gets it all; where none has, it stays. share: 0 changes nothing.
    """
    if not share:
        return mask
    count, regions = cv2.connectedComponents((mask > 0).astype(np.uint8), connectivity=8)
    classes = 1 + max([*rarest_first, int(mask.max())])
    cells = regions.ravel() * classes + mask.ravel()
    pixels = np.bincount(cells, minlength=count * classes).reshape(count, classes)
    enough = pixels >= share * pixels.sum(axis=1, keepdims=True)
    winners = np.full(count, -1)
    for index in reversed(rarest_first):
        winners[enough[:, index]] = index
    winners[0] = -1  # of the first class
    found = winners[regions]
    return np.where(found < 0, mask, found).astype(np.uint8)


class ExportedSegmenter:
    """The SavedModel of an export, and what is made of its masks."""

    def __init__(self, export: Path) -> None:
        import tensorflow as tf

        self._tensorflow = tf
        self._segment = tf.saved_model.load(str(export / "saved_model")).signatures["serving_default"]
        manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
        self._vote = float(manifest.get(REGION_VOTE, 0.0)), manifest.get(RAREST_FIRST, [])

    def predict(
        self, inputs: dict[str, np.ndarray], params: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """{"images": (N, H, W, 3) uint8 RGB} -> {"masks": (N, H, W) uint8 class indices}."""
        images = np.asarray(inputs["images"], np.uint8)
        masks = self._segment(images=self._tensorflow.constant(images))["masks"].numpy()
        return {"masks": np.stack([one_class_regions(mask, *self._vote) for mask in masks])}


def _load_pyfunc(path: str) -> ExportedSegmenter:
    """MLflow's entry point."""
    return ExportedSegmenter(Path(path))
