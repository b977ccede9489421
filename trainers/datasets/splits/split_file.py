"""Reads and writes `split.csv`: one line for each image, with its part."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainers.datasets.dataset import Dataset
from trainers.datasets.records.reading import read_images

NAME = "split.csv"
COLUMNS = ("part", "image")

Row = tuple[str, str]  # part and image name


def rows(dataset: Dataset) -> Iterator[Row]:
    """(part, name) of every image of a dataset, from its `split.csv`, or from its TFRecord files if it has none."""
    path = dataset.label_map.with_name(NAME)
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            next(lines)
            yield from ((part, image) for part, image in lines)
    else:
        for part, its in dataset.parts.items():
            yield from ((part, record.name) for record in read_images(its.files))


def write(folder: Path, images: Iterable[Row]) -> None:
    """Write `split.csv` into `folder` atomically."""
    partial = folder / f".{NAME}.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS])
        csv.writer(file, lineterminator="\n").writerows(images)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / NAME)
