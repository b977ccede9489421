"""Description: how many images and which share of the pixels each class has, in each part of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainers.datasets.dataset import Dataset, Part
from trainers.segmentation.data.masked_image import read_masked_images


@dataclass(frozen=True)
class PartDescription:
    """images: their number. shown: (C,) int, images with each class. pixels: (C,) int. ignored: pixels of no class."""

    images: int
    shown: np.ndarray
    pixels: np.ndarray
    ignored: int

    def share(self, index: int) -> float:
        """The share of a class in the pixels that have one."""
        return float(self.pixels[index]) / max(1, int(self.pixels.sum()))


def describe(dataset: Dataset) -> dict[str, PartDescription]:
    """The description of each part, by name."""
    return {name: _of(part, len(dataset.classes)) for name, part in dataset.parts.items()}


def _of(part: Part, classes: int) -> PartDescription:
    shown, pixels = np.zeros(classes, np.int64), np.zeros(256, np.int64)
    for image in read_masked_images(part.files):
        counts = np.bincount(image.mask.ravel(), minlength=256)
        pixels += counts
        shown += counts[:classes] > 0
    return PartDescription(part.images, shown, pixels[:classes], int(pixels[classes:].sum()))


def lines(described: Mapping[str, PartDescription], dataset: Dataset) -> list[str]:
    """The description as lines of text."""
    found = []
    width = max(map(len, dataset.classes))
    for name, part in described.items():
        found.append(f"{name}: {part.images} images, {part.ignored:,} pixels without a class")
        for index, label in enumerate(dataset.classes):
            found.append(
                f"  {label:<{width}}  {part.share(index):8.3%} of the pixels, in {part.shown[index]} images"
            )
    return found
