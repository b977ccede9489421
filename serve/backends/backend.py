"""Backend: the contract of a runtime that runs an export's network on this machine.

Class ids are counted from 1 everywhere in serve, as in the export's `detection_classes` and label map: DetectionArrays,
Detection, the HTTP API and COCO results. A backend whose runtime counts from 0 converts with `class_ids`, and the name
of a class is `export.classes[class_id - FIRST_CLASS_ID]` (serve/detections.py); nothing else converts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from trainers.detection.samples import DetectionArrays

FIRST_CLASS_ID = 1
MAX_STREAMS = 4  # each holds a batch of frames in memory; with more CPU threads, a stream has several


class Backend(Protocol):
    """A loaded network. Constructed from an Export and a number of CPU threads.

    streams: how many threads may call `run` concurrently; that many calls use all its CPU threads.
    approximate: whether its results differ from the export's, as with quantized weights; then it is used only if it
    loses no more of the task's metric than allowed. Otherwise they are the same.
    """

    streams: int
    approximate: bool

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[Any]:
        """(N, S, S, 3) uint8 RGB squares, N >= 1 -> the result of each, in a type that the task chooses.

        A detector's is a DetectionArrays, with boxes normalised to the square, and ids from 1.
        least: what has a lower score may be left out (ServedTask.least_score), where that saves time.
        """


def class_ids(indices: np.ndarray) -> np.ndarray:
    """(D,) class indices from 0 -> (D,) int64 class ids from 1."""
    ids: np.ndarray = indices.astype(np.int64) + FIRST_CLASS_ID
    return ids


def found(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, counts: np.ndarray
) -> list[DetectionArrays]:
    """The export's four outputs -> detections of each image.

    boxes: (N, D, 4). scores: (N, D). classes: (N, D) ids from 1. counts: (N,), how many of the D are valid.
    """
    return [
        DetectionArrays(boxes[i, :count], scores[i, :count], classes[i, :count].astype(np.int64))
        for i, count in enumerate(counts.astype(int))
    ]
