"""The ground truth of evaluation: every object of every image, as the records have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images


@dataclass(frozen=True)
class Truth:
    """The objects of one image.

    boxes: (G, 4) float64 [ymin, xmin, ymax, xmax], fractions of the image. classes: (G,) int, from 0.
    crowd, ignored: (G,) bool; see coco_metrics. areas: (G,) float64, square pixels; None for those of the boxes.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    areas: np.ndarray | None


def read_truth(files: Iterable[Path]) -> list[Truth]:
    """The truth of every image in TFRecord files, in their order. Raises UserError if a record is damaged."""
    return [truth_of(image) for image in read_images(files)]


def truth_of(image: CheckedImage) -> Truth:
    """What counts of an image, and how: a difficult object, and one of weight 0, is ignored."""
    ignored = np.array(image.difficult, bool)
    if image.weights:
        ignored |= np.array(image.weights) == 0
    crowd = np.array(image.crowd, bool)
    return Truth(
        boxes=image.boxes.astype(np.float64),
        classes=np.array(image.labels, int) - 1,
        crowd=crowd,
        ignored=ignored & ~crowd,
        areas=np.array(image.areas, np.float64) if image.areas else None,
    )
