"""Export: a trained detector as a folder that serves anywhere. This is the format, for who writes and who reads it.

saved_model/        signature `serving_default`: images (N, H, W, 3) uint8 -> detection_boxes (N, D, 4) [ymin, xmin,
                    ymax, xmax] normalised, detection_scores (N, D), detection_classes (N, D) from 1,
                    num_detections (N,); and before non-maximum suppression, in the same frame,
                    raw_detection_boxes (N, A, 4) and raw_detection_scores (N, A, C)
label_map.pbtxt     class names by id
recipe.yaml         what it was trained with
samples.npz         a few validation images, their truth and what this export finds in them (samples.py)
manifest.json       the rest, and the hash of every other file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from trainers import export as sealed
from trainers.export import MANIFEST, amend

__all__ = [
    "LABEL_MAP", "MANIFEST", "MAP_TOLERANCE", "SAMPLES", "SAVED_MODEL", "Export", "Framing", "Proof", "amend", "read",
    "seal",
]  # fmt: skip

SAVED_MODEL = "saved_model"
SAMPLES = "samples.npz"
LABEL_MAP = "label_map.pbtxt"
# how far what is exported may be from what was trained, for detections with scores from .1
SCORE_TOLERANCE, IOU_TOLERANCE, UNMATCHED_TOLERANCE, MAP_TOLERANCE = 0.001, 0.99, 0.002, 0.001


@dataclass(frozen=True)
class Proof:
    """The SavedModel, read from the disk, against the trained model on `images` validation images.

    mAP: "trained" and "exported". score, iou, unmatched: as samples.Difference.
    """

    images: int
    mAP: Mapping[str, float]
    score: float
    iou: float
    unmatched: float

    def problem(self) -> str | None:
        """What is beyond its tolerance; None when nothing is."""
        for what, off, allowed in (
            ("mAP differs by", abs(self.mAP["exported"] - self.mAP["trained"]), MAP_TOLERANCE),
            ("scores differ by", self.score, SCORE_TOLERANCE),
            ("IoU of boxes falls short of 1 by", 1 - self.iou, 1 - IOU_TOLERANCE),
            ("boxes without counterpart are a share of", self.unmatched, UNMATCHED_TOLERANCE),
        ):
            if not off <= allowed:
                return f"{what} {off:.4f} on {self.images} images, allowed are {allowed:.4f}"
        return None

    def says(self, export_id: str) -> str:
        """The comparison and its tolerances, in a line."""
        return (
            f"export {export_id}: on {self.images} validation images its mAP is {self.mAP['exported']:.4f}, the trained "
            f"model's {self.mAP['trained']:.4f} (tolerance {MAP_TOLERANCE}); scores differ by up to {self.score:.5f} "
            f"({SCORE_TOLERANCE}), boxes have an IoU of {self.iou:.5f} or more ({IOU_TOLERANCE})"
        )

    def facts(self) -> dict[str, str]:
        """The comparison as rows of a table."""
        return {
            "export checked on": f"{self.images} validation images",
            "mAP there, trained and exported": f"{self.mAP['trained']:.4f} and {self.mAP['exported']:.4f}",
            "largest difference of scores": f"{self.score:.5f}",
            "smallest IoU of boxes": f"{self.iou:.5f}",
        }


@dataclass(frozen=True)
class Framing:
    """How an image of any size becomes the square that the detector was trained on, and boxes come back.

    size: pixels of the square's side.
    resize: "stretch" (both sides to `size`) or "pad" (the longer side to `size`, the rest filled below or on the right).
    pad_colour: RGB, what the detector's normalisation makes zero.
    """

    size: int
    resize: Literal["stretch", "pad"]
    pad_colour: tuple[int, int, int] = (0, 0, 0)

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8.

        As TensorFlow 1's `resize_images`, by which the detector was trained: bilinear, output i from input i / scale.
        """
        height, width = self._inside(*image.shape[:2])
        if (height, width) == image.shape[:2] == (self.size, self.size):
            return image
        steps = np.array([[image.shape[1] / width, 0, 0], [0, image.shape[0] / height, 0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        resized: np.ndarray = cv2.warpAffine(
            image, steps, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        if (height, width) == (self.size, self.size):
            return resized
        square = np.empty((self.size, self.size, 3), np.uint8)
        square[:] = self.pad_colour
        square[:height, :width] = resized
        return square

    def restore(self, boxes: np.ndarray, height: int, width: int, clip: bool = True) -> np.ndarray:
        """(D, 4) normalised to the square -> normalised to the image of `height` x `width` pixels, clipped to 0..1."""
        inside_height, inside_width = self._inside(height, width)
        scale = np.array([self.size / inside_height, self.size / inside_width] * 2, np.float32)
        restored: np.ndarray = boxes * scale
        return restored.clip(0.0, 1.0) if clip else restored

    def _inside(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "stretch":
            return self.size, self.size
        scale = self.size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class Export:
    """An export that has been read and found whole.

    export_id: twelve digits, of the hashes of all its files.
    classes: names; the class with id i is classes[i - 1].
    threshold: the score at which serving shows a detection unless asked otherwise.
    manifest: all of manifest.json. Its `suppression`, where it is not null, says what leads from the raw outputs to the
        others: {"iou", "score", "of_class", "in_all"}, by class, greedily, as TensorFlow's NonMaxSuppressionV5 does it.
    """

    directory: Path
    export_id: str
    classes: tuple[str, ...]
    framing: Framing
    threshold: float
    manifest: Mapping[str, Any]

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.directory / SAVED_MODEL


def seal(
    folder: Path, classes: tuple[str, ...], framing: Framing, threshold: float, about: Mapping[str, Any]
) -> None:
    """Write `manifest.json` into a folder whose other files are there. `about`: JSON values, added as they are."""
    own = {"classes": list(classes), "framing": asdict(framing), "threshold": threshold}
    sealed.seal(folder, {**own, **about})


def read(folder: Path) -> Export:
    """The export in `folder`. Raises UserError when it is none, or a file is not the one that was sealed."""
    found = sealed.read(folder)
    manifest = found.manifest
    try:
        framing = manifest["framing"]
        return Export(
            directory=folder,
            export_id=found.export_id,
            classes=tuple(manifest["classes"]),
            framing=Framing(framing["size"], framing["resize"], tuple(framing["pad_colour"])),
            threshold=float(manifest["threshold"]),
            manifest=manifest,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise sealed.unreadable(folder, error) from None
