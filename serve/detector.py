"""Detector: an exported detector in this process, for images and videos."""

from __future__ import annotations

from collections.abc import Sequence

from serve.detections import Detections, in_image
from serve.local_model import Image, LocalModel, check_type
from trainers.errors import UserError


class Detector(LocalModel):
    """An exported detector, loaded; its arguments are those of LocalModel.

    classes: the class with id i is classes[i - 1].
    """

    task_name = "detection"

    @property
    def threshold(self) -> float:
        """The export's own score threshold, the default of `detect` and `annotate`."""
        return float(self.export.threshold)

    def detect(self, images: Image | Sequence[Image], threshold: float | None = None) -> list[Detections]:
        """Detections of each image, in order; a list of one for a single image.

        images: an (H, W, 3) uint8 RGB array, the path of an image file, or a list of either; sizes may differ.
        threshold: minimum score, 0 to 1; default: the export's own.
        Raises UserError for another type, shape or dtype, or a file that is missing or not an image.
        """
        if threshold is not None:
            check_type(threshold, "threshold", (int, float))
            if not 0 <= threshold <= 1:
                raise UserError(f"threshold must be between 0 and 1, not {threshold}")
        return [
            in_image(found, self.export, threshold, height, width)
            for found, height, width in self._results(images)
        ]
