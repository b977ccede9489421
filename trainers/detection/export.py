"""Export: the format of an exported detector, a folder with everything that inference needs.

saved_model/        signature `serving_default`: images (N, H, W, 3) uint8 -> detection_boxes (N, D, 4) [ymin, xmin,
                    ymax, xmax] normalised, detection_scores (N, D), detection_classes (N, D) from 1,
                    num_detections (N,); and before non-maximum suppression, in the same frame,
                    raw_detection_boxes (N, A, 4) and raw_detection_scores (N, A, C); and embedding (N, F), the mean
                    of each channel of the feature maps
label_map.pbtxt     class names by id, from 1
recipe.yaml         the recipe of the trial
samples.npz         a few validation images, their ground truth and this export's detections (samples.py)
calibration.npz     training images, and labelled validation images, for quantization (calibration.py); optional
postprocessing.json a threshold for each class, suppression and number of detections (postprocessing/); optional
threshold.json      the score threshold, and precision, recall and F1 by score (threshold.py)
manifest.json       everything else, and the hash of every other file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from trainers import export as sealed
from trainers.detection.postprocessing import settings
from trainers.detection.postprocessing.settings import Postprocessing
from trainers.detection.samples import DetectionArrays
from trainers.errors import UserError
from trainers.export import MANIFEST, amend

__all__ = [
    "CALIBRATION", "LABEL_MAP", "MANIFEST", "MAP_TOLERANCE", "SAMPLES", "SAVED_MODEL", "THRESHOLD", "Export", "Framing",
    "Proof", "amend", "read", "seal",
]  # fmt: skip

SAVED_MODEL = "saved_model"
SAMPLES = "samples.npz"
CALIBRATION = "calibration.npz"
THRESHOLD = "threshold.json"
LABEL_MAP = "label_map.pbtxt"
# largest differences between export and trained model, for detections with scores of at least .1
SCORE_TOLERANCE, IOU_TOLERANCE, UNMATCHED_TOLERANCE, MAP_TOLERANCE = 0.001, 0.99, 0.002, 0.001
BOX_FRAME = "box_frame"  # in the manifest since boxes of padded images are right


@dataclass(frozen=True)
class Proof:
    """The comparison of the SavedModel, read back from disk, with the trained model on `images` validation images.

    mAP: keys "trained" and "exported". score, iou, unmatched: as in samples.Difference.
    """

    images: int
    mAP: Mapping[str, float]
    score: float
    iou: float
    unmatched: float

    def problem(self) -> str | None:
        """The first difference beyond its tolerance, in words; None if there is none."""
        for what, off, allowed in (
            ("mAP differs by", abs(self.mAP["exported"] - self.mAP["trained"]), MAP_TOLERANCE),
            ("scores differ by", self.score, SCORE_TOLERANCE),
            ("IoU of boxes is below 1 by", 1 - self.iou, 1 - IOU_TOLERANCE),
            ("the share of unmatched boxes is", self.unmatched, UNMATCHED_TOLERANCE),
        ):
            if not off <= allowed:
                return f"{what} {off:.4f} on {self.images} images (tolerance {allowed:.4f})"
        return None

    def says(self, export_id: str) -> str:
        """The comparison and its tolerances, in one line."""
        return (
            f"export {export_id}: mAP {self.mAP['exported']:.4f} on {self.images} validation images, trained model "
            f"{self.mAP['trained']:.4f} (tolerance {MAP_TOLERANCE}); scores differ by at most {self.score:.5f} "
            f"(tolerance {SCORE_TOLERANCE}), IoU of boxes at least {self.iou:.5f} (tolerance {IOU_TOLERANCE})"
        )

    def facts(self) -> dict[str, str]:
        """The comparison as rows of a table."""
        return {
            "export checked on": f"{self.images} validation images",
            "mAP of trained model and export": f"{self.mAP['trained']:.4f} and {self.mAP['exported']:.4f}",
            "largest difference of scores": f"{self.score:.5f}",
            "smallest IoU of boxes": f"{self.iou:.5f}",
        }


@dataclass(frozen=True)
class Framing:
    """How an image of any size is resized to the detector's square input, and how boxes are mapped back.

    size: side of the square, pixels.
    resize: "stretch" (both sides to `size`) or "pad" (the longer side to `size`, padding below or on the right).
    pad_colour: RGB; the colour that the detector's normalisation maps to zero.
    """

    size: int
    resize: Literal["stretch", "pad"]
    pad_colour: tuple[int, int, int] = (0, 0, 0)

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8.

        Like TensorFlow 1's `resize_images`, which training uses: bilinear, output pixel i from input pixel i / scale.
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
        """Boxes (D, 4) normalised to the square -> normalised to the image of height x width pixels; clip: to 0..1."""
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
    """An export that was read and verified.

    export_id: twelve hexadecimal digits, a hash of the hashes of all files.
    classes: names; the class with id i is classes[i - 1].
    threshold: the default score threshold of serving, where postprocessing has none for each class.
    manifest: the content of manifest.json. Its `suppression`, if not null, has the settings of the non-maximum
        suppression from the raw outputs to the others, {"iou", "score", "of_class", "in_all"}: per class and greedy, as
        in TensorFlow's NonMaxSuppressionV5.
    """

    directory: Path
    export_id: str
    classes: tuple[str, ...]
    framing: Framing
    threshold: float
    manifest: Mapping[str, Any]
    postprocessing: Postprocessing | None = None

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.directory / SAVED_MODEL

    @property
    def size(self) -> int:
        """Side of the detector's square input, pixels."""
        return self.framing.size

    def kept(self, found: DetectionArrays, threshold: float | None = None) -> DetectionArrays:
        """What is left of the network's detections after post-processing.

        threshold: the lowest score of all classes; None for the export's own.
        """
        after = self.postprocessing
        if after is None:
            return found.above(self.threshold if threshold is None else threshold)
        if threshold is not None:
            after = replace(after, thresholds=(threshold,) * len(self.classes))
        left = after.kept(found.boxes, found.classes - 1, found.scores)
        return DetectionArrays(found.boxes[left], found.scores[left], found.classes[left])

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8, see Framing."""
        return self.framing.square(image)


def seal(
    folder: Path, classes: tuple[str, ...], framing: Framing, threshold: float, about: Mapping[str, Any]
) -> None:
    """Write `manifest.json` into a folder that has all its other files. about: further JSON values for the manifest."""
    own = {
        "classes": list(classes), "framing": asdict(framing), BOX_FRAME: "image", "threshold": threshold,
    }  # fmt: skip
    sealed.seal(folder, {**about, **own})


def read(folder: Path) -> Export:
    """Read and verify an export.

    Raises UserError if it is not one, it is one of another task, its boxes are wrong, or a file is missing or changed.
    """
    found = sealed.read(folder)
    manifest = found.manifest
    if "task" in manifest:  # exports of detectors have none
        raise UserError(f"{folder}: not an export of a detector; give one of a detection study")
    try:
        framing = manifest["framing"]
        if framing["resize"] == "pad" and BOX_FRAME not in manifest:
            raise UserError(
                f"{folder}: is of a version whose boxes are too large in images that are not square; export again"
            )
        return Export(
            directory=folder,
            export_id=found.export_id,
            classes=tuple(manifest["classes"]),
            framing=Framing(framing["size"], framing["resize"], tuple(framing["pad_colour"])),
            threshold=float(manifest["threshold"]),
            manifest=manifest,
            postprocessing=settings.read(folder),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise sealed.unreadable(folder, error) from None
