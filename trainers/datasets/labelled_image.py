"""LabelledImage: one image with its boxes, as a format's reader finds it, before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Box:
    """One object.

    name: its class.
    ymin, xmin, ymax, xmax: pixels from the top left, or fractions of the image (LabelledImage.fractions).
    difficult, crowd: as Pascal VOC and COCO mean them; evaluation does not punish missing these.
    """

    name: str
    ymin: float
    xmin: float
    ymax: float
    xmax: float
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Stored:
    """Where an encoded image lies: a whole file, or in the TFRecord `length` bytes from `offset` of it."""

    path: Path
    offset: int = 0
    length: int | None = None


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
    """

    name: str
    stored: Stored
    boxes: tuple[Box, ...]
    labelled_in: str
    size: tuple[int, int] | None = None
    fractions: bool = False
    part: str | None = None
    sequence: str | None = None
