"""Description: what a dataset holds, counted over its records: boxes by class and size, shapes, doubles, label map."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from trainers.datasets.dataset import Dataset
from trainers.datasets.description.sample_selection import SampleSelection
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images

MOST_BOXES = 100  # of an image that the Object Detection API's input reader keeps (max_number_of_boxes)
# COCO's sizes by area in pixels (pycocotools' Params.areaRng), and shapes by width over height
SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, float("inf")))
SHAPES = (("tall", 0.0, 0.5), ("upright", 0.5, 1.0), ("wide", 1.0, 2.0), ("flat", 2.0, float("inf")))
_NAMED = 20  # doubles that are named, each of them


@dataclass
class PartDescription:
    """One part.

    images, boxes: how many. empty: images without a box. crowded: images with more than MOST_BOXES.
    by_class: boxes by class name; images_by_class: images that show it.
    by_size: boxes by class name and size, as "vehicle small". by_shape: boxes by class name and shape.
    pixels: images by (width, height). most_boxes: of an image.
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
        """Count a image."""
        count = len(image.labels)
        self.images += 1
        self.boxes += count
        self.empty += count == 0
        self.crowded += count > MOST_BOXES
        self.most_boxes = max(self.most_boxes, count)
        self.pixels[f"{image.width}x{image.height}"] += 1
        names = [classes[label - 1] for label in image.labels]
        self.by_class.update(names)
        self.images_by_class.update(set(names))
        for name, (ymin, xmin, ymax, xmax) in zip(names, image.pixel_boxes().tolist(), strict=True):
            height, width = ymax - ymin, xmax - xmin
            self.by_size[f"{name} {_bin(height * width, SIZES)}"] += 1
            self.by_shape[f"{name} {_bin(width / max(height, 1e-9), SHAPES)}"] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }


def _bin(value: float, bins: tuple[tuple[str, float, float], ...]) -> str:
    return next((name for name, low, high in bins if low <= value < high), bins[0][0])


@dataclass
class Description:
    """A dataset's parts; doubles within a part and doubles across parts: images of the same content.

    doubles: how many images have the same content as an earlier one of the same part; leaks: of another part.
    named: some of them, as "validation b.jpg = train a.jpg".
    samples: of each part the positions of some records, among which every class is if there are not too many.
    """

    dataset: Dataset
    parts: dict[str, PartDescription]
    duplicates: int
    leaks: int
    named: list[str]
    samples: dict[str, frozenset[int]]

    def warnings(self) -> list[str]:
        """What would make training worse or its measure false, one line each."""
        found = []
        if self.leaks:
            found.append(
                f"same picture in two parts: {self.leaks}, so that validation is too kind: {self.named[0]}"
            )
        if self.duplicates:
            found.append(f"same picture twice in a part: {self.duplicates}")
        for name, part in self.parts.items():
            if part.crowded:
                cut = f"more than {MOST_BOXES} boxes, of which the rest is cut: {part.crowded} images"
                found.append(f"{name}: {cut}, the largest with {part.most_boxes}")
            missing = [each for each in self.dataset.classes if not part.by_class[each]]
            if missing:
                found.append(f"{name}: no box of {', '.join(missing)}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            "dataset": self.dataset.to_dict(),
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
            "duplicates": self.duplicates,
            "leaks": self.leaks,
            "named": self.named,
            "warnings": self.warnings(),
        }


def describe(dataset: Dataset) -> Description:
    """Count everything, in memory that does not grow with the number of images."""
    parts = {name: PartDescription() for name in dataset.parts}
    samples = {name: SampleSelection() for name in dataset.parts}
    duplicates = leaks = 0
    named: list[str] = []
    with closing(sqlite3.connect("")) as index:  # a temporary file
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
