"""LabelledImage: one image with its boxes as a format's reader finds it, before any check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import RecordLocation, read_record


class Box(NamedTuple):
    """The bounding box of one object.

    name: its class.
    ymin, xmin, ymax, xmax: pixels from the top left corner, or fractions of the image if LabelledImage.fractions.
    difficult: Pascal VOC's flag: trained on, but neither right nor wrong to detect.
    crowd: COCO's flag: several objects in one box. Not trained on, and neither right nor wrong to detect.
    line: its line in the label file; None where lines mean nothing.
    area: of the object, square pixels, as the labels state it; None for that of the box. It decides what is small.
    weight: factor of the losses. An object of weight 0 is not trained on, and neither right nor wrong to detect.
    """

    name: str
    ymin: float
    xmin: float
    ymax: float
    xmax: float
    difficult: bool = False
    crowd: bool = False
    line: int | None = None
    area: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Stored:
    """Where the bytes of an encoded image are: a whole file, or one record of a TFRecord file."""

    path: Path
    record: RecordLocation | None = None

    def read(self) -> bytes:
        """The encoded image. Raises OSError, or CorruptRecord if its record is damaged."""
        if self.record is None:
            return self.path.read_bytes()
        with self.path.open("rb") as file:
            encoded: bytes = tf_example.decode(read_record(file, self.record))["image/encoded"][0]
        return encoded


@dataclass(frozen=True)
class LabelledImage:
    """An image and its labels.

    name: path relative to the source, with forward slashes; unique in the source.
    stored: where its bytes are.
    boxes: its objects.
    labelled_in: the file to open to correct a label, with the line if there is one.
    size: (width, height) in pixels as stated in the labels; None if they do not state it.
    fractions: boxes are in fractions of the image, not pixels.
    part: "train", "validation" or "test"; None if the source does not say.
    sequence: name of the video or other sequence that it belongs to, all of which goes into one part.
    rotated_by_default: when `size` is None, boxes refer to the image after its EXIF rotation.
    """

    name: str
    stored: Stored
    boxes: tuple[Box, ...]
    labelled_in: str
    size: tuple[int, int] | None = None
    fractions: bool = False
    part: str | None = None
    sequence: str | None = None
    rotated_by_default: bool = False

    def label_place(self, box: Box) -> str:
        """File, and line if known, of the label of `box`."""
        return self.labelled_in if box.line is None else f"{self.labelled_in}:{box.line}"
