"""Backend: the contract of whatever runs an export's network on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from trainers.detection.samples import Found


class Backend(Protocol):
    """A loaded network. Made of an Export and a number of CPU threads.

    streams: how many threads may call `detect` at once; so many calls keep all its CPU threads at work.
    """

    streams: int

    def detect(self, images: np.ndarray) -> Sequence[Found]:
        """(N, S, S, 3) uint8 RGB squares, N >= 1 -> what is found in each, boxes normalised to the square."""


def found(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> list[Found]:
    """The export's four outputs -> detections of each image."""
    return [
        Found(boxes[i, :count], scores[i, :count], classes[i, :count].astype(np.int64))
        for i, count in enumerate(counts.astype(int))
    ]
