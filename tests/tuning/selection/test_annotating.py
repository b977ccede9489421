"""What a selection writes for labelling tools, read by this project's readers and by another library."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from made_pool import found, image

from trainers.datasets.formats import named
from trainers.datasets.problems import Problems
from trainers.errors import UserError
from tuning.selection import annotating, manifest, scoring, strategies
from tuning.selection.picking import Picked
from tuning.selection.scored import Scored

CLASSES = ("car", "person on foot", "bike")
BOXES = [[0.1, 0.2, 0.5, 0.6], [0.3, 0.3, 0.9, 0.8], [0.0, 0.0, 0.2, 0.2]]
ROWS = [[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 0.2]]  # the last is below the threshold


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Three pictures; two have the same name in different folders."""
    folder = tmp_path_factory.mktemp("pool")
    for index, name in enumerate(("a/street 1.jpg", "b/street 1.jpg", "last.png")):
        (folder / name).parent.mkdir(exist_ok=True)
        picture = np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(folder / name), picture)
    return folder


def of_pool(pool) -> list[tuple[Picked, Scored]]:
    images = []
    for place, file in enumerate(sorted(each for each in pool.rglob("*") if each.is_file())):
        read = scoring._read(file, file.relative_to(pool).as_posix(), 0, 0, frozenset())
        each = found(ROWS, BOXES) if place < 2 else found([])
        made = image(read.name, each.probabilities, boxes=each.boxes)
        scored = Scored(read.name, read.sha256, made.look, 64, 48, made.boxes, made.probabilities)
        images.append((Picked(place, 3.0 - place, 0), scored))
    return images


def write(pool, out, to=annotating.FORMATS):
    return annotating.write(
        out, pool, of_pool(pool), CLASSES, to, strategies.get("entropy"), "export000001", 0, 0.5
    )


@pytest.fixture(scope="module")
def written(pool, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "to_label"
    write(pool, out)
    return out


@pytest.mark.parametrize("name", annotating.FORMATS)
def test_the_projects_reader_reads_the_same_boxes_back(name, written):
    problems = Problems(name)
    form = named(name)
    assert form.recognises(written / name)
    images = list(form.read(written / name, problems).images)
    assert not problems.counts
    assert len(images) == 3
    boxes = [len(each.boxes) for each in images]
    assert sorted(boxes) == [0, 2, 2]
    with_boxes = next(each for each in images if each.boxes)
    assert {box.name for box in with_boxes.boxes} == {"car", "person on foot"}
    car = next(box for box in with_boxes.boxes if box.name == "car")
    scale = (1, 1, 1, 1) if with_boxes.fractions else (48, 64, 48, 64)
    edges = (car.ymin, car.xmin, car.ymax, car.xmax)
    np.testing.assert_allclose(edges, np.array(BOXES[0]) * scale, atol=0.02)


@pytest.mark.parametrize("name", ["coco", "yolo", "pascal_voc"])
def test_another_library_reads_the_same_boxes(name, written):
    supervision = pytest.importorskip("supervision")
    folder = written / name
    if name == "coco":
        data = supervision.DetectionDataset.from_coco(
            str(folder / "images" / "train"), str(folder / "annotations" / "instances_train.json")
        )
    elif name == "yolo":
        data = supervision.DetectionDataset.from_yolo(
            str(folder / "images" / "train"), str(folder / "labels" / "train"), str(folder / "data.yaml")
        )
    else:
        data = supervision.DetectionDataset.from_pascal_voc(
            str(folder / "JPEGImages"), str(folder / "Annotations")
        )
    assert len(data) == 3
    detections = [each for _, _, each in data if len(each)]
    assert [len(each) for each in detections] == [2, 2]
    ymin, xmin, ymax, xmax = np.array(BOXES[0]) * (48, 64, 48, 64)
    off = np.abs(detections[0].xyxy - [xmin, ymin, xmax, ymax]).max(axis=1).min()
    assert off <= 1.0  # whole pixels in VOC


def test_the_manifest_says_what_was_asked_and_the_page_why(written, pool):
    asked = manifest.read(written)
    assert (asked.strategy, asked.export_id, asked.classes) == ("entropy", "export000001", CLASSES)
    assert [(each.file, each.rank, each.boxes) for each in asked.images] == [
        ("a_street_1", 1, 2), ("b_street_1", 2, 2), ("last", 3, 0),
    ]  # fmt: skip
    page = (written / "index.html").read_text()
    assert page.count("<figure>") == 3
    assert "a/street 1.jpg" in page
    assert "entropy of the class scores, sum over boxes: 3.00 bits" in page


def test_an_existing_folder_is_refused_and_left_as_it_is(written, pool):
    before = sorted(written.rglob("*"))
    with pytest.raises(UserError, match=r"already exists; choose a new folder$"):
        write(pool, written)
    assert sorted(written.rglob("*")) == before


def test_an_image_that_has_changed_since_is_refused_and_nothing_is_written(pool, tmp_path):
    images = of_pool(pool)
    picked, scored = images[0]
    images[0] = (picked, Scored(scored.name, "0" * 64, 0, 64, 48, scored.boxes, scored.probabilities))
    with pytest.raises(UserError, match="has changed since it was scored"):
        annotating.write(
            tmp_path / "out", pool, images, CLASSES, ("coco",), strategies.get("entropy"), "id", 0, 0.5
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", json.dumps({"images": [{"file": 1}]})])
def test_a_file_that_is_no_manifest_is_refused(text, tmp_path):
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(UserError, match="not the manifest of a selection"):
        manifest.read(tmp_path)
