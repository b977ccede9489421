"""Scored: what a detector says of one image of a pool, from which every strategy decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Scored:
    """One scored image with D detections, best first, of C classes.

    name: its path in the pool, with forward slashes. sha256: of its file, in hexadecimal.
    look: its perceptual hash (trainers.datasets.splits.perceptual_hash) as a number of 64 bits.
    width, height: pixels, as training reads the image.
    boxes: (D, 4) float32 [ymin, xmin, ymax, xmax], normalised to the image.
    probabilities: (D, C) float32, the score of each class for each box, 0 to 1.
    embedding: (F,) float32, of the detector's feature maps; None if its export has none.
    mirrored: the same image's detections after it was mirrored, mapped back; None if they were not asked for.
    other: those of a second detector with the same classes; None if there is none.
    """

    name: str
    sha256: str
    look: int
    width: int
    height: int
    boxes: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray | None = None
    mirrored: Found | None = None
    other: Found | None = None

    @property
    def found(self) -> Found:
        """Its detections."""
        return Found(self.boxes, self.probabilities)

    @property
    def scores(self) -> np.ndarray:
        """(D,) float32: of the best class of each box."""
        return self.found.scores


@dataclass(frozen=True, eq=False)
class Found:
    """Detections: boxes (D, 4) and probabilities (D, C), as in Scored."""

    boxes: np.ndarray
    probabilities: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(D,) float32: of the best class of each box."""
        best: np.ndarray = self.probabilities.max(axis=1, initial=0.0)
        return best

    @property
    def classes(self) -> np.ndarray:
        """(D,) int64: the best class of each box, from 0."""
        if not len(self.probabilities):
            return np.zeros(0, np.int64)
        best: np.ndarray = self.probabilities.argmax(axis=1)
        return best

    def above(self, score: float) -> Found:
        """The detections with at least this score."""
        keep = self.scores >= score
        return Found(self.boxes[keep], self.probabilities[keep])
