"""Postprocessing: a score threshold for each class, a stricter suppression, and a largest number of detections.

It works on what the network and its own suppression have found, so it costs microseconds, and needs no new export of the
network. An export keeps it in `postprocessing.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

POSTPROCESSING = "postprocessing.json"


@dataclass(frozen=True)
class Postprocessing:
    """What is left of the detections of one image.

    thresholds: the lowest score of each class, in label order.
    iou: of two boxes of a class that overlap by more, the one with the lower score is dropped; None for no more than the
        network's own suppression.
    most: the best so many of what suppression leaves; None for all.
    """

    thresholds: tuple[float, ...]
    iou: float | None = None
    most: int | None = None

    def kept(self, boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Indices of the detections that are left, best first.

        boxes: (D, 4) float [ymin, xmin, ymax, xmax], in any unit. classes: (D,) int, from 0. scores: (D,) float.
        """
        left = best_first(boxes, classes, scores, self.iou, self.most)
        lowest = np.array(self.thresholds, scores.dtype)[classes[left].astype(int)]
        kept: np.ndarray = left[scores[left] >= lowest]
        return kept


def best_first(
    boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, iou: float | None, most: int | None
) -> np.ndarray:
    """Indices of the detections, best first, after suppression within each class; at most `most`."""
    order = np.argsort(-scores, kind="stable")
    if iou is not None:
        left: list[int] = []
        for place in order.tolist():
            rivals = [other for other in left if classes[other] == classes[place]]
            if not rivals or _overlap(boxes[place], boxes[rivals]).max() <= iou:
                left.append(place)
        order = np.array(left, int)
    return order[:most]


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(4,) and (N, 4) -> (N,) intersection over union."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
    share: np.ndarray = np.divide(shared, areas, out=np.zeros(len(others)), where=areas > 0)
    return share


def read(folder: Path) -> Postprocessing | None:
    """The settings of an export; None if it has none."""
    path = folder / POSTPROCESSING
    if not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Postprocessing(tuple(map(float, kept["thresholds"])), kept["iou"], kept["most"])
