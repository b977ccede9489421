"""COCO, Pascal VOC and YOLO twins of one dataset, written by another library, are read as the same dataset."""

import re
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from labelled_folders import picture

from trainers.datasets import load
from trainers.datasets.splits import split_file

CLASSES = ["bus", "car", "tram"]
WIDTH, HEIGHT = 100, 50  # YOLO's five decimals then state every even pixel exactly


@pytest.fixture(scope="module")
def twins(tmp_path_factory) -> dict[str, Path]:
    """The folders by format."""
    root = tmp_path_factory.mktemp("twins")
    (root / "drawn").mkdir()
    annotations = {}
    for number in range(30):
        draw = np.random.default_rng(number)
        path = root / "drawn" / f"street {number}.jpg"
        path.write_bytes(picture(number, WIDTH, HEIGHT))
        count = number % 4  # some images have no objects
        lowest, highest = np.repeat([[[0, 0, 25, 12]], [[20, 10, 50, 25]]], count, axis=1)
        corners = 2 * draw.integers(lowest, highest)
        annotations[str(path)] = sv.Detections(
            xyxy=corners.reshape(-1, 4).astype(float), class_id=draw.integers(0, 3, count)
        )
    dataset = sv.DetectionDataset(CLASSES, list(annotations), annotations)
    dataset.as_coco(str(root / "coco/images"), str(root / "coco/annotations.json"))
    dataset.as_yolo(str(root / "yolo/images"), str(root / "yolo/labels"), str(root / "yolo/data.yaml"))
    dataset.as_pascal_voc(str(root / "voc/images"), str(root / "voc/annotations"))
    for xml in (root / "voc/annotations").iterdir():  # supervision counts the first pixel from 1
        edge = re.compile(r"<([xy]min)>([\d.]+)<")
        xml.write_text(edge.sub(lambda found: f"<{found[1]}>{float(found[2]) - 1}<", xml.read_text()))
    return {name: root / name for name in ("coco", "yolo", "voc")}


def test_twins_have_the_same_records_split_and_fingerprint(twins, tmp_path):
    opened = {name: load(folder, tmp_path) for name, folder in twins.items()}
    assert {dataset.classes for dataset in opened.values()} == {tuple(CLASSES)}
    assert len({tuple(split_file.rows(dataset)) for dataset in opened.values()}) == 1
    assert len({dataset.fingerprint for dataset in opened.values()}) == 1
    records = {
        b"".join(file.read_bytes() for part in dataset.parts.values() for file in part.files)
        for dataset in opened.values()
    }
    assert len(records) == 1
