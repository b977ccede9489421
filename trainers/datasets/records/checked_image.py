"""CheckedImage: an image that passed the checks, with its boxes, encoded as a tf.train.Example."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from trainers.datasets.records import tf_example

if TYPE_CHECKING:  # a process that only lists images does not load numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CheckedImage:
    """An image as training reads it.

    name: unique name, usually the path in the source.
    image: encoded JPEG or PNG, 8 bits a channel, grey or RGB.
    format: "jpeg" or "png".
    width, height: pixels.
    boxes: float32 [objects, 4], each [ymin, xmin, ymax, xmax] in fractions of the image, 0 to 1.
    labels: label ids 1..N, one for each box.
    difficult, crowd: flags, one for each box.
    areas: square pixels, one for each box; empty if each box's own area is meant.
    weights: factors of the losses, one for each box; empty if all are 1.
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
    areas: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    @cached_property
    def image_sha256(self) -> bytes:
        """SHA-256 of the encoded image, 32 bytes."""
        return hashlib.sha256(self.image).digest()

    def pixel_boxes(self) -> NDArray[np.float64]:
        """float64 [objects, 4], each [ymin, xmin, ymax, xmax] in pixels."""
        return self.boxes.astype("float64") * [self.height, self.width, self.height, self.width]

    def encode(self, classes: Sequence[str], ids: Sequence[int] | None = None) -> bytes:
        """The serialised tf.train.Example, with the keys of TfExampleFields in object_detection/core/standard_fields.py.

        classes: class names; label id i is classes[i - 1].
        ids: label ids to write for `classes`, if not 1..N.
        """
        name = self.name.encode()
        optional: dict[str, tuple[float, ...]] = {
            "image/object/area": self.areas, "image/object/weight": self.weights,
        }  # fmt: skip
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
                **{key: values for key, values in optional.items() if values},
            }
        )

    def digest(self) -> int:
        """A 256-bit digest of image, boxes and labels; the name does not change it, nor do areas."""
        content = hashlib.sha256(self.image_sha256)
        rows: list[tuple[object, ...]] = [
            (box.tobytes(), label, difficult, crowd)
            for box, label, difficult, crowd in zip(
                self.boxes, self.labels, self.difficult, self.crowd, strict=True
            )
        ]
        if self.weights:
            rows = [(*row, weight) for row, weight in zip(rows, self.weights, strict=True)]
        content.update(repr(sorted(rows)).encode())
        return int.from_bytes(content.digest(), "little")


def decode(data: bytes) -> CheckedImage:
    """The inverse of `CheckedImage.encode`; also reads other tools' examples for the Object Detection API."""
    import numpy as np

    features = tf_example.decode(data)
    edges = [features.get(f"image/object/bbox/{edge}", []) for edge in ("ymin", "xmin", "ymax", "xmax")]
    labels = features.get("image/object/class/label", [])
    unset = [0] * len(edges[0])
    # Open Images' flag of a box around several objects
    groups = features.get("image/object/group_of") or unset
    crowds = features.get("image/object/is_crowd") or unset
    return CheckedImage(
        name=(features.get("image/filename") or features.get("image/source_id") or [b""])[0].decode(),
        image=features["image/encoded"][0],
        format="png" if features["image/encoded"][0].startswith(b"\x89PNG") else "jpeg",
        width=features["image/width"][0],
        height=features["image/height"][0],
        boxes=np.array(edges, np.float32).T.reshape(-1, 4),
        labels=tuple(labels),
        difficult=tuple(map(bool, features.get("image/object/difficult") or unset)),
        crowd=tuple(bool(crowd or group) for crowd, group in zip(crowds, groups, strict=True)),
        areas=tuple(features.get("image/object/area", [])),
        weights=tuple(features.get("image/object/weight", [])),
    )
