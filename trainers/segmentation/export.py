"""Export: the format of an exported segmentation model, a folder with everything that inference needs.

saved_model/    signature `serving_default`: images (N, H, W, 3) uint8 RGB -> masks (N, H, W) uint8, class indices; and
                logits (N, S, S, C) float32, of the network at its own size, from which the masks are made
recipe.yaml     the recipe of the trial
samples.npz     a few validation images with this export's masks: image_0, mask_0, image_1, ...
manifest.json   task, classes in the order of their indices, image size, the proof, and the hash of every other file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import export as sealed
from trainers.errors import UserError
from trainers.segmentation.exported_segmenter import RAREST_FIRST, REGION_VOTE, one_class_regions
from trainers.segmentation.resizing import mask_of, square

LOGITS = "logits"  # what serving runs; exports of the first version have masks alone
SAVED_MODEL, SAMPLES, TASK = "saved_model", "samples.npz", "segmentation"
IOU_TOLERANCE, PIXEL_TOLERANCE = 0.001, 0.001


@dataclass(frozen=True)
class Proof:
    """The comparison of the SavedModel, read back from disk, with the trained model on `images` validation images.

    trained, exported: mean IoU of each. differing: the share of the pixels in which their masks differ.
    """

    images: int
    trained: float
    exported: float
    differing: float

    def problem(self) -> str | None:
        """The first difference beyond its tolerance, in words; None if there is none."""
        for what, off, allowed in (
            ("mean IoU differs by", abs(self.exported - self.trained), IOU_TOLERANCE),
            ("the share of pixels with another class is", self.differing, PIXEL_TOLERANCE),
        ):
            if not off <= allowed:
                return f"{what} {off:.5f} on {self.images} images (tolerance {allowed})"
        return None

    def says(self, export_id: str) -> str:
        """The comparison and its tolerances, in one line."""
        return (
            f"export {export_id}: mIoU {self.exported:.4f} on {self.images} validation images, trained model "
            f"{self.trained:.4f} (tolerance {IOU_TOLERANCE}); {self.differing:.6f} of the pixels have another class "
            f"(tolerance {PIXEL_TOLERANCE})"
        )

    def facts(self) -> dict[str, str]:
        """The comparison as rows of a table."""
        return {
            "export checked on": f"{self.images} validation images",
            "mIoU of trained model and export": f"{self.trained:.4f} and {self.exported:.4f}",
            "share of pixels with another class": f"{self.differing:.6f}",
        }


@dataclass(frozen=True)
class Export:
    """An export that was read and verified.

    export_id: twelve hexadecimal digits, a hash of the hashes of all files. classes: names by class index.
    image_size: side of the network's square input, pixels.
    """

    directory: Path
    export_id: str
    classes: tuple[str, ...]
    image_size: int
    proof: Proof
    manifest: Mapping[str, Any]

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.directory / SAVED_MODEL

    @property
    def size(self) -> int:
        """The same as image_size."""
        return self.image_size

    def square(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (image_size, image_size, 3) uint8, as in the SavedModel."""
        return square(image, self.image_size)

    def mask(self, logits: np.ndarray, height: int, width: int) -> np.ndarray:
        """(S, S, C) float32 logits of the SavedModel -> (height, width) uint8: the classes, after the vote."""
        share = float(self.manifest.get(REGION_VOTE, 0.0))
        return one_class_regions(mask_of(logits, height, width), share, self.manifest.get(RAREST_FIRST, []))

    def samples(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Validation images (H, W, 3) uint8 RGB, and this export's masks (H, W) uint8, before the vote."""
        with np.load(self.directory / SAMPLES, allow_pickle=False) as file:
            return [(file[f"image_{i}"], file[f"mask_{i}"]) for i in range(len(file.files) // 2)]


def seal(
    folder: Path, classes: tuple[str, ...], image_size: int, proof: Proof, about: Mapping[str, Any]
) -> None:
    """Write `manifest.json` into a folder that has all its other files. about: further JSON values for the manifest."""
    own = {
        "task": TASK,
        "outputs": ["masks", LOGITS],
        "classes": list(classes),
        "image_size": image_size,
        "proof": asdict(proof),
    }
    sealed.seal(folder, {**own, **about})


def read(folder: Path) -> Export:
    """Read and verify an export.

    Raises UserError if it is not one, it is one of another task, or a file is missing or changed.
    """
    found = sealed.read(folder)
    manifest = found.manifest
    if manifest.get("task") != TASK:
        raise UserError(f"{folder}: not an export of a segmentation model; give one of a segmentation study")
    try:
        return Export(
            folder,
            found.export_id,
            tuple(manifest["classes"]),
            int(manifest["image_size"]),
            Proof(**manifest["proof"]),
            manifest,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise sealed.unreadable(folder, error) from None
