"""Arrays: images and masks at a model's input size, decoded once into files that workers map into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock

from trainers.augmentations import Augmentation
from trainers.datasets.dataset import Part
from trainers.files import replace_folder
from trainers.segmentation.data.augmentation import augment
from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.resizing import square

_VERSION = 1  # of the resizing


@dataclass(frozen=True)
class Arrays:
    """N images at a side of S pixels. images: (N, S, S, 3) uint8 RGB. masks: (N, S, S) uint8, IGNORE for no class."""

    images: np.ndarray
    masks: np.ndarray

    def shares(self, classes: int) -> np.ndarray:
        """(classes,) float64: the share of each class in all pixels that have one."""
        counts = np.zeros(256, np.int64)
        for mask in self.masks:
            counts += np.bincount(mask.ravel(), minlength=256)
        found: np.ndarray = counts[:classes] / max(1, counts[:classes].sum())
        return found


def open_arrays(part: Part, side: int) -> Arrays:
    """The arrays of `part` at `side` pixels; made beside its files if they are not there yet."""
    first = part.files[0]
    folder = first.parent / f"{first.name}-{side}px-{_VERSION}"
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with replace_folder(folder) as partial:
                _write(part, side, partial)
    return Arrays(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "masks")))


def _write(part: Part, side: int, folder: Path) -> None:
    shape = (part.images, side, side)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (*shape, 3))
    masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, shape)
    for i, image in enumerate(read_masked_images(part.files)):
        images[i] = square(image.pixels(), side)
        masks[i] = cv2.resize(image.mask, (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
    images.flush()
    masks.flush()


@dataclass(frozen=True)
class TrainingBatches:
    """The batches of a training: an epoch's images are in an order of their own, and so are its random numbers.

    Batch number i depends on the seed and i alone, so that a training goes on as if it had not been interrupted.
    """

    arrays: Arrays
    batch_size: int
    augmentations: Sequence[Augmentation]
    seed: int

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The images (B, S, S, 3) and masks (B, S, S), uint8, of step number `step` (from 0)."""
        random = np.random.default_rng([self.seed, step])
        pairs = [
            augment(
                np.asarray(self.arrays.images[i]),
                np.asarray(self.arrays.masks[i]),
                self.augmentations,
                random,
            )
            for i in self._chosen(step)
        ]
        images, masks = zip(*pairs, strict=True)
        return np.stack(images), np.stack(masks)

    def _chosen(self, step: int) -> list[int]:
        count = len(self.arrays.images)
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        orders = {place // count for place in places}
        order = {
            epoch: np.random.default_rng([self.seed, epoch, count]).permutation(count) for epoch in orders
        }
        return [int(order[place // count][place % count]) for place in places]


def logit_offsets(shares: np.ndarray, adjustment: float) -> np.ndarray:
    """(C,) float32 to add to the logits: minus `adjustment` times the logarithm of the shares; 0 for absent classes.

    Those of the most frequent class are 0, which changes no decision.
    """
    logs = np.log(shares, out=np.zeros(len(shares)), where=shares > 0)
    found: np.ndarray = np.where(shares > 0, adjustment * (np.log(shares.max()) - logs), 0).astype(np.float32)
    return found


def rarest_first(shares: np.ndarray) -> list[int]:
    """The classes but the first, 0, those with the fewest pixels first; without absent ones."""
    return [int(index) for index in np.argsort(shares, kind="stable") if index and shares[index] > 0]


def class_weights(shares: np.ndarray, balance: float) -> np.ndarray:
    """(C,) float32 weights proportional to shares ** -balance, of mean 1 over the pixels; 0 for absent classes."""
    weights = np.zeros(len(shares))
    shown = shares > 0
    weights[shown] = shares[shown] ** -balance
    scaled: np.ndarray = (weights / (weights @ shares)).astype(np.float32)
    return scaled
