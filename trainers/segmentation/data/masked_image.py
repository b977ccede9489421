"""MaskedImage: an image and its mask that passed the checks, as a tf.train.Example with the keys of DeepLab's records.

The record also has a box around the pixels of each class, as if these were objects: with them, subsets and counts of the
datasets for detection work on it unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainers.datasets.records import tf_example
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import encoded_examples
from trainers.segmentation.data.sources.colour_map import IGNORE

_MASK, _SET = "image/segmentation/class/encoded", "image/set"


@dataclass(frozen=True)
class MaskedImage:
    """An image as training reads it.

    name: unique name, the path in the source. image: encoded JPEG or PNG. format: "jpeg" or "png".
    mask: (H, W) uint8 class indices, IGNORE for none. scored: its set of a scored evaluation, "" for none.
    """

    name: str
    image: bytes
    format: str
    mask: np.ndarray
    scored: str = ""

    def boxes(self) -> dict[int, tuple[float, float, float, float]]:
        """[ymin, xmin, ymax, xmax] in fractions of the image around the pixels of each class that is shown, by index."""
        height, width = self.mask.shape
        found = {}
        for index in map(int, np.flatnonzero(np.bincount(self.mask.ravel(), minlength=256)[:IGNORE])):
            here = self.mask == index
            rows, columns = np.flatnonzero(here.any(axis=1)), np.flatnonzero(here.any(axis=0))
            found[index] = (
                rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width,
            )  # fmt: skip
        return found

    def checked(self) -> CheckedImage:
        """The same as an image with boxes; label id i + 1 is the class with index i."""
        boxes = self.boxes()
        return CheckedImage(
            name=self.name,
            image=self.image,
            format=self.format,
            width=self.mask.shape[1],
            height=self.mask.shape[0],
            boxes=np.array(list(boxes.values()), np.float32).reshape(-1, 4),
            labels=tuple(index + 1 for index in boxes),
            difficult=(False,) * len(boxes),
            crowd=(False,) * len(boxes),
        )

    def encode(self, classes: tuple[str, ...]) -> bytes:
        """The serialised tf.train.Example."""
        features = tf_example.decode(self.checked().encode(classes))
        png = cv2.imencode(".png", self.mask)[1].tobytes()
        return tf_example.encode(
            features
            | {_MASK: [png], "image/segmentation/class/format": [b"png"], _SET: [self.scored.encode()]}
        )

    def digest(self) -> int:
        """A 256-bit digest of image, mask and set; the name does not change it."""
        content = hashlib.sha256(self.image)
        content.update(repr((self.mask.shape, self.scored)).encode() + self.mask.tobytes())
        return int.from_bytes(content.digest(), "little")

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        decoded = cv2.imdecode(
            np.frombuffer(self.image, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
        assert decoded is not None, self.name  # it was decoded when the dataset was made
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def decode(data: bytes) -> MaskedImage:
    """The inverse of `MaskedImage.encode`."""
    features = tf_example.decode(data)
    mask = cv2.imdecode(np.frombuffer(features[_MASK][0], np.uint8), cv2.IMREAD_UNCHANGED)
    image = features["image/encoded"][0]
    return MaskedImage(
        name=features["image/filename"][0].decode(),
        image=image,
        format=features["image/format"][0].decode(),
        mask=np.asarray(mask),
        scored=(features.get(_SET) or [b""])[0].decode(),
    )


def read_masked_images(files: Iterable[Path]) -> Iterator[MaskedImage]:
    """The images in TFRecord `files`, in order. Raises UserError if a record is damaged."""
    return map(decode, encoded_examples(files))
