"""Description: statistics of a dataset, such as boxes by class, size and aspect ratio, and duplicate images."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from trainers.datasets import object_size
from trainers.datasets.dataset import MOST_TRAINED_BOXES, Dataset
from trainers.datasets.description.sample_selection import SampleSelection
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images

# size classes by area in square pixels, and shapes by width / height
SIZES = tuple((name, low, high) for name, (low, high) in object_size.SIZES.items())
SHAPES = (("tall", 0.0, 0.5), ("upright", 0.5, 1.0), ("wide", 1.0, 2.0), ("flat", 2.0, float("inf")))
_NAMED = 20  # duplicates that are listed by name


@dataclass
class PartDescription:
    """Counts of one part.

    images, boxes: total numbers. empty: images without boxes. crowded: images with more boxes than
        MOST_TRAINED_BOXES.
    most_boxes: the largest number of boxes in an image.
    by_class: boxes by class name. images_by_class: images that show the class.
    by_size: boxes by class name and size class, such as "vehicle small".
    by_shape: boxes by class name and aspect ratio, such as "vehicle wide".
    pixels: images by size, such as "640x480".
    """

    images: int = 0
    boxes: int = 0
    empty: int = 0
    crowded: int = 0
    most_boxes: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    images_by_class: Counter[str] = field(default_factory=Counter)
    by_size: Counter[str] = field(default_factory=Counter)
    by_shape: Counter[str] = field(default_factory=Counter)
    pixels: Counter[str] = field(default_factory=Counter)

    def add(self, image: CheckedImage, classes: tuple[str, ...]) -> None:
        """Count one image."""
        count = len(image.labels)
        self.images += 1
        self.boxes += count
        self.empty += count == 0
        self.crowded += count > MOST_TRAINED_BOXES
        self.most_boxes = max(self.most_boxes, count)
        self.pixels[f"{image.width}x{image.height}"] += 1
        names = [classes[label - 1] for label in image.labels]
        self.by_class.update(names)
        self.images_by_class.update(set(names))
        boxes = image.pixel_boxes()
        areas = image.areas or object_size.box_areas(boxes).tolist()
        for name, area, (ymin, xmin, ymax, xmax) in zip(names, areas, boxes.tolist(), strict=True):
            height, width = ymax - ymin, xmax - xmin
            self.by_size[f"{name} {_bin(area, SIZES)}"] += 1
            self.by_shape[f"{name} {_bin(width / max(height, 1e-9), SHAPES)}"] += 1

    def to_dict(self) -> dict[str, Any]:
        """As values for JSON."""
        return {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }


def _bin(value: float, bins: tuple[tuple[str, float, float], ...]) -> str:
    return next((name for name, low, high in bins if low <= value < high), bins[0][0])


@dataclass
class Description:
    """Statistics of a dataset.

    parts: counts by part.
    duplicates: number of images identical to an earlier one of the same part; leaks: of another part.
    duplicate_pairs: some of both, such as "validation b.jpg = train a.jpg", leaks first.
    samples: positions of sample images by part, with one of each class as far as they fit.
    """

    dataset: Dataset
    parts: dict[str, PartDescription]
    duplicates: int
    leaks: int
    duplicate_pairs: list[str]
    samples: dict[str, frozenset[int]]

    def warnings(self) -> list[str]:
        """What would harm training or bias validation, one line each."""
        found = []
        if self.leaks:
            found.append(
                f"data leakage: {self.leaks} images are also in another part, which biases validation: "
                f"{self.duplicate_pairs[0]}"
            )
        if self.duplicates:
            found.append(f"duplicate images within a part: {self.duplicates}")
        for name, part in self.parts.items():
            if part.crowded and name == "train":
                cut = f"{part.crowded} images with more than {MOST_TRAINED_BOXES} boxes; training ignores the rest"
                found.append(f"{name}: {cut} (maximum: {part.most_boxes} boxes)")
            missing = [each for each in self.dataset.classes if not part.by_class[each]]
            if missing:
                found.append(f"{name}: no box of {', '.join(missing)}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As values for JSON."""
        return {
            "dataset": self.dataset.to_dict(),
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
            "duplicates": self.duplicates,
            "leaks": self.leaks,
            "named": self.duplicate_pairs,
            "warnings": self.warnings(),
        }


def count(dataset: Dataset) -> Description:
    """Count the images and boxes of a dataset, in constant memory."""
    parts = {name: PartDescription() for name in dataset.parts}
    samples = {name: SampleSelection() for name in dataset.parts}
    duplicates = leaks = 0
    named: list[str] = []
    with closing(sqlite3.connect("")) as index:  # a temporary database on disk
        index.execute("CREATE TABLE images (digest BLOB PRIMARY KEY, part TEXT, name TEXT) WITHOUT ROWID")
        for name, part in dataset.parts.items():
            for position, image in enumerate(read_images(part.files)):
                parts[name].add(image, dataset.classes)
                samples[name].offer(position, image)
                row = (image.image_sha256, name, image.name)
                if index.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", row).rowcount:
                    continue
                wanted = "SELECT part, name FROM images WHERE digest = ?"
                other_part, other = index.execute(wanted, row[:1]).fetchone()
                leak = other_part != name
                leaks, duplicates = leaks + leak, duplicates + (not leak)
                said = f"{name} {image.name} = {other_part} {other}"
                if leak:
                    named.insert(0, said)
                else:
                    named.append(said)
                del named[_NAMED:]
    chosen = {name: its.chosen() for name, its in samples.items()}
    return Description(dataset, parts, duplicates, leaks, named, chosen)
