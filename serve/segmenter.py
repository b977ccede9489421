"""Segmenter: an exported segmentation model in this process, for images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve.local_model import Image, LocalModel
from serve.masks.regions import Region, regions


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What one image shows; what `serve.Segmenter.segment` returns.

    mask: (H, W) uint8, the class of each pixel, an index of `classes`.
    """

    mask: np.ndarray
    classes: tuple[str, ...]

    def regions(self) -> list[Region]:
        """The region of each class that the mask shows: run-length encoding, area, centroid and box."""
        return regions(self.mask, self.classes)


class Segmenter(LocalModel):
    """An exported segmentation model, loaded; its arguments are those of LocalModel.

    with serve.Segmenter(study="follow_me-follow_me") as segmenter:
        mask = segmenter.segment("square.png")[0].mask
    """

    task_name = "segmentation"

    def segment(self, images: Image | Sequence[Image]) -> list[Segmentation]:
        """The mask of each image, in order; a list of one for a single image.

        images: an (H, W, 3) uint8 RGB array, the path of an image file, or a list of either; sizes may differ.
        Raises UserError for another type, shape or dtype, or a file that is missing or not an image.
        """
        return [
            Segmentation(self.export.mask(logits, height, width), self.classes)
            for logits, height, width in self._results(images)
        ]
