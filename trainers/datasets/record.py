"""Record: one checked image with its boxes, and the Object Detection API's tf.train.Example of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.datasets import example


@dataclass(frozen=True)
class Record:
    """What training reads.

    name: file name or whatever tells it from the others.
    image: JPEG or PNG bytes, 8-bit, grey or colour.
    format: "jpeg" or "png".
    width, height: pixels.
    boxes: float32 [objects, 4], [ymin, xmin, ymax, xmax], fractions of the image in 0..1.
    labels: ids 1..N, one a box.
    difficult, crowd: one a box.
    """

    name: str
    image: bytes
    format: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: tuple[int, ...]
    difficult: tuple[bool, ...]
    crowd: tuple[bool, ...]

    def encode(self, classes: Sequence[str]) -> bytes:
        """The tf.train.Example; its keys are TfExampleFields of object_detection/core/standard_fields.py."""
        name = self.name.encode()
        ymin, xmin, ymax, xmax = self.boxes.T.tolist() if len(self.boxes) else ([], [], [], [])
        return example.encode(
            {
                "image/height": [self.height],
                "image/width": [self.width],
                "image/filename": name,
                "image/source_id": name,
                "image/key/sha256": hashlib.sha256(self.image).hexdigest().encode(),
                "image/encoded": self.image,
                "image/format": self.format.encode(),
                "image/object/bbox/ymin": ymin,
                "image/object/bbox/xmin": xmin,
                "image/object/bbox/ymax": ymax,
                "image/object/bbox/xmax": xmax,
                "image/object/class/text": [classes[label - 1].encode() for label in self.labels],
                "image/object/class/label": self.labels,
                "image/object/difficult": [int(d) for d in self.difficult],
                "image/object/is_crowd": [int(c) for c in self.crowd],
            }
        )

    def digest(self) -> int:
        """256 bits of its contents: image, boxes and labels, but not its name."""
        content = hashlib.sha256(hashlib.sha256(self.image).digest())
        rows = [
            (box.tobytes(), label, difficult, crowd)
            for box, label, difficult, crowd in zip(
                self.boxes, self.labels, self.difficult, self.crowd, strict=True
            )
        ]
        content.update(repr(sorted(rows)).encode())
        return int.from_bytes(content.digest(), "little")
