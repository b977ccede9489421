"""LabelledImage: one image with its boxes, as a format's reader finds it, before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import RecordLocation, read_record


class Box(NamedTuple):
    """One object.

    name: its class.
    ymin, xmin, ymax, xmax: pixels from the top left, or fractions of the image (LabelledImage.fractions).
    difficult, crowd: as Pascal VOC and COCO mean them; evaluation does not punish missing these.
    line: of the file with the labels, where it has lines a person would look at.
    """

    name: str
    ymin: float
    xmin: float
    ymax: float
    xmax: float
    difficult: bool = False
    crowd: bool = False
    line: int | None = None


@dataclass(frozen=True)
class Stored:
    """Where an encoded image lies: a whole file, or a record of a TFRecord file."""

    path: Path
    record: RecordLocation | None = None

    def read(self) -> bytes:
        """The encoded image. Raises OSError, or CorruptRecord when its record is not whole."""
        if self.record is None:
            return self.path.read_bytes()
        with self.path.open("rb") as file:
            encoded: bytes = tf_example.decode(read_record(file, self.record))["image/encoded"][0]
        return encoded


@dataclass(frozen=True)
class LabelledImage:
    """An image and what its labels say.

    name: unique in its source; a file name relative to it, with forward slashes.
    stored: where its bytes are.
    boxes: what it shows.
    labelled_in: the file, and line where there is one, that a person would open to correct a label.
    size: (width, height) in pixels as the labels state it; None where they do not.
    fractions: boxes are fractions of the size, not pixels.
    part: "train", "validation" or "test" where the source says so.
    sequence: images of one sequence (a video's frames) are never split over parts.
    turned_by_default: without a stated size, boxes mean the picture as its EXIF turns it.
    """

    name: str
    stored: Stored
    boxes: tuple[Box, ...]
    labelled_in: str
    size: tuple[int, int] | None = None
    fractions: bool = False
    part: str | None = None
    sequence: str | None = None
    turned_by_default: bool = False

    def label_place(self, box: Box) -> str:
        """Where a person would look at the label of `box`."""
        return self.labelled_in if box.line is None else f"{self.labelled_in}:{box.line}"
