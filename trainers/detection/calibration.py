"""Calibration images in an export: a serving backend quantizes the network with them, and measures what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainers.detection.samples import DetectionArrays, mean_ap

MOST_IMAGES = 100  # of each kind
MOST_PIXELS = 20_000_000  # of each kind together: 48 images of 640 pixels, 3 to 8 MB
QUALITY = 95  # of JPEG


@dataclass(frozen=True)
class Calibration:
    """Square images at the detector's input size, (S, S, 3) uint8 RGB.

    training: images of the training part, to quantize with. validation: labelled images, to judge by. true_boxes: for
    each of these (G, 4) float [ymin, xmin, ymax, xmax] normalised. true_classes: for each of these (G,) int, from 1.
    """

    training: Sequence[np.ndarray]
    validation: Sequence[np.ndarray]
    true_boxes: Sequence[np.ndarray]
    true_classes: Sequence[np.ndarray]

    def mean_ap(self, found: Sequence[DetectionArrays], classes: tuple[str, ...]) -> float:
        """mAP of detections in the labelled images; -1 if they have no labels."""
        size = self.validation[0].shape[0]
        return mean_ap(size, self.true_boxes, self.true_classes, found, classes)

    def save(self, path: Path) -> None:
        """Write an .npz file without pickles; the images as JPEG."""
        columns = {
            "training": list(map(_encoded, self.training)),
            "validation": list(map(_encoded, self.validation)),
            "true_boxes": self.true_boxes,
            "true_classes": self.true_classes,
        }
        arrays = {f"{name}_{i}": array for name, rows in columns.items() for i, array in enumerate(rows)}
        np.savez(path, allow_pickle=False, counts=[len(self.training), len(self.validation)], **arrays)


def most_images(size: int) -> int:
    """How many images of `size` x `size` pixels to keep of each kind."""
    return max(1, min(MOST_IMAGES, MOST_PIXELS // size**2))


def load(path: Path) -> Calibration:
    """Read the file that `Calibration.save` wrote. Raises FileNotFoundError: exports of earlier versions have none."""
    with np.load(path, allow_pickle=False) as file:
        training, validation = map(int, file["counts"])

        def rows(name: str, count: int) -> Iterable[np.ndarray]:
            return (file[f"{name}_{i}"] for i in range(count))

        return Calibration(
            list(map(_decoded, rows("training", training))),
            list(map(_decoded, rows("validation", validation))),
            list(rows("true_boxes", validation)),
            list(rows("true_classes", validation)),
        )


def _encoded(image: np.ndarray) -> np.ndarray:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data: np.ndarray = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return data


def _decoded(data: np.ndarray) -> np.ndarray:
    image: np.ndarray = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image
