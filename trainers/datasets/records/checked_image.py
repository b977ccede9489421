"""Record: one checked image with its boxes, and the Object Detection API's tf.train.Example of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from trainers.datasets.records import tf_example

if TYPE_CHECKING:  # who only lists images does not wait for numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CheckedImage:
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

    @cached_property
    def image_sha256(self) -> bytes:
        """32 bytes that tell the image."""
        return hashlib.sha256(self.image).digest()

    def pixel_boxes(self) -> NDArray[np.float64]:
        """[objects, 4], [ymin, xmin, ymax, xmax] in pixels."""
        return self.boxes.astype("float64") * [self.height, self.width, self.height, self.width]

    def encode(self, classes: Sequence[str], ids: Sequence[int] | None = None) -> bytes:
        """The tf.train.Example; its keys are TfExampleFields of object_detection/core/standard_fields.py.

        ids: the classes' label ids where they are not 1..N.
        """
        name = self.name.encode()
        ymin, xmin, ymax, xmax = self.boxes.T.tolist() if len(self.boxes) else ([], [], [], [])
        return tf_example.encode(
            {
                "image/height": [self.height],
                "image/width": [self.width],
                "image/filename": name,
                "image/source_id": name,
                "image/key/sha256": self.image_sha256.hex().encode(),
                "image/encoded": self.image,
                "image/format": self.format.encode(),
                "image/object/bbox/ymin": ymin,
                "image/object/bbox/xmin": xmin,
                "image/object/bbox/ymax": ymax,
                "image/object/bbox/xmax": xmax,
                "image/object/class/text": [classes[label - 1].encode() for label in self.labels],
                "image/object/class/label": [ids[label - 1] for label in self.labels] if ids else self.labels,
                "image/object/difficult": [int(d) for d in self.difficult],
                "image/object/is_crowd": [int(c) for c in self.crowd],
            }
        )

    def digest(self) -> int:
        """256 bits of its contents: image, boxes and labels, but not its name."""
        content = hashlib.sha256(self.image_sha256)
        rows = [
            (box.tobytes(), label, difficult, crowd)
            for box, label, difficult, crowd in zip(
                self.boxes, self.labels, self.difficult, self.crowd, strict=True
            )
        ]
        content.update(repr(sorted(rows)).encode())
        return int.from_bytes(content.digest(), "little")


def decode(data: bytes) -> CheckedImage:
    """The Record that `encode` wrote, or that another tool wrote as the Object Detection API takes it."""
    import numpy as np

    features = tf_example.decode(data)
    edges = [features.get(f"image/object/bbox/{edge}", []) for edge in ("ymin", "xmin", "ymax", "xmax")]
    labels = features.get("image/object/class/label", [])
    return CheckedImage(
        name=(features.get("image/filename") or features.get("image/source_id") or [b""])[0].decode(),
        image=features["image/encoded"][0],
        format="png" if features["image/encoded"][0].startswith(b"\x89PNG") else "jpeg",
        width=features["image/width"][0],
        height=features["image/height"][0],
        boxes=np.array(edges, np.float32).T.reshape(-1, 4),
        labels=tuple(labels),
        difficult=tuple(map(bool, features.get("image/object/difficult") or [0] * len(labels))),
        crowd=tuple(map(bool, features.get("image/object/is_crowd") or [0] * len(labels))),
    )
