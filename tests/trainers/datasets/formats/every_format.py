"""What the contract tests over every format share: records, written in a format, and looked through again."""

import shutil
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck
from labelled_folders import picture

from trainers.datasets import check, formats
from trainers.datasets.problems import Problem
from trainers.datasets.records.checked_image import CheckedImage

NAMES = [known.NAME for known in formats.all_formats()]
CLASSES = ("vehicle", "pedestrian", "cyclist")
WIDTH, HEIGHT = 64, 48
PICTURES = [picture(number) for number in range(30)]
ANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def checked_image(number: int, boxes: list[tuple]) -> CheckedImage:
    """Picture `number` with boxes [ymin, xmin, ymax, xmax] in pixels."""
    rows = np.array(boxes, np.float64).reshape(-1, 4) / [HEIGHT, WIDTH, HEIGHT, WIDTH]
    labels = tuple(index % 3 + 1 for index in range(len(boxes)))
    none = (False,) * len(boxes)
    return CheckedImage(
        f"n{number}.jpg", PICTURES[number], "jpeg", WIDTH, HEIGHT, rows.astype(np.float32), labels, none, none
    )


def written(name: str, folder: Path, records: list[CheckedImage]) -> Path:
    """The records in a format, four fifths of them to train on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cut = max(1, len(records) * 4 // 5)
    parts = {"train": records[:cut], "validation": records[cut:]}
    formats.named(name).write(folder, CLASSES, parts)
    if name == "yolo":
        (folder / "data.yaml").unlink()  # which would be read as a dataset YAML
    return folder


def checked(folder: Path) -> tuple[list[Problem], int, int]:
    """Every problem of a source, and how many of how many images are affected."""
    report = check(folder)
    return list(report.problems), report.affected, report.images
