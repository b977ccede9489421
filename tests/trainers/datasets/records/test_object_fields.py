"""Areas, weights and flags of objects are kept from the labels to the records that are trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trainers.datasets.conversion import convert
from trainers.datasets.description.describing import describe
from trainers.datasets.opening import load
from trainers.datasets.records import tf_example
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.detection.truth import truth_of
from trainers.errors import UserError


def png(grey: int) -> bytes:
    pixels = np.full((200, 200, 3), grey, np.uint8)
    pixels[:40, :40] = 255 - grey
    return cv2.imencode(".png", pixels)[1].tobytes()


def record(number: int, **fields: Any) -> bytes:
    """An example with two boxes of 40 x 40 pixels."""
    name = f"{number}.png".encode()
    return tf_example.encode({
        "image/height": [200], "image/width": [200], "image/filename": name, "image/source_id": name,
        "image/encoded": png(number), "image/format": b"png",
        "image/object/bbox/ymin": [0.1, 0.5], "image/object/bbox/xmin": [0.1, 0.5],
        "image/object/bbox/ymax": [0.3, 0.7], "image/object/bbox/xmax": [0.3, 0.7],
        "image/object/class/text": [b"car", b"bus"], "image/object/class/label": [1, 2],
        **{f"image/object/{key}": values for key, values in fields.items()},
    })  # fmt: skip


def write_records(folder: Path, bad: bool, **fields: Any) -> Path:
    """50 records, of which the last two have a box beyond the image if `bad`, so that all must be converted."""
    folder.mkdir()
    for part, numbers in (("train", range(40)), ("val", range(40, 50))):
        with TFRecordWriter(folder / f"{part}.tfrecord") as shard:
            for number in numbers:
                wrong = {"bbox/xmax": [0.3, 1.5]} if bad and number >= 48 else {}
                shard.write(record(number, **(fields | wrong)))
    return folder


def first(folder: Path, cache: Path) -> CheckedImage:
    return next(iter(read_images(load(folder, cache).train.files)))


@pytest.mark.parametrize("bad", [False, True])
def test_weights_areas_and_flags_of_records_do_not_depend_on_other_images(tmp_path, bad):
    fields = {"weight": [0.0, 0.5], "area": [700.0, 1600.0], "difficult": [0, 1], "group_of": [1, 0]}
    folder = write_records(tmp_path / "records", bad, **fields)
    dataset = load(folder, tmp_path / "cache")
    assert dataset.train.files[0].is_symlink() == (not bad)
    for image in read_images(dataset.train.files):
        assert (image.weights, image.areas) == ((0.0, 0.5), (700.0, 1600.0))
        assert (image.difficult, image.crowd) == ((False, True), (True, False))


def test_records_of_earlier_versions_have_boxes_own_areas_and_weight_1(tmp_path):
    image = first(write_records(tmp_path / "records", bad=True), tmp_path / "cache")
    assert (image.areas, image.weights) == ((), ())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_a_problem_and_refused_like_others(tmp_path, weight):
    with pytest.raises(UserError, match="invalid box weight"):
        load(write_records(tmp_path / "records", bad=False, weight=[weight, 1.0]), tmp_path / "cache")


def test_what_evaluation_counts_of_crowds_difficult_objects_and_objects_of_weight_0():
    image = CheckedImage(
        "a.png", b"", "png", 200, 200, np.zeros((4, 4), np.float32), (1, 1, 2, 2),
        difficult=(True, False, True, False), crowd=(False, False, True, False), weights=(1.0, 0.0, 1.0, 0.5),
    )  # fmt: skip
    truth = truth_of(image)
    assert truth.ignored.tolist() == [True, True, False, False]
    assert truth.crowd.tolist() == [False, False, True, False]
    assert truth.areas is None


def coco(folder: Path, boxes: list[dict[str, Any]]) -> Path:
    """40 images, each with these annotations."""
    (folder / "images").mkdir(parents=True)
    for number in range(40):
        (folder / "images" / f"{number}.png").write_bytes(png(number))
    images = [{"id": n, "file_name": f"{n}.png", "width": 200, "height": 200} for n in range(40)]
    annotations = [
        {"id": 10 * n + k, "image_id": n, "category_id": 1, **box} for n in range(40) for k, box in enumerate(boxes)
    ]  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


OWN = {"bbox": [10, 10, 32, 32], "area": 1024}


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (600.5, (600.5, 1024.0)),
        (0, (0.0, 1024.0)),
        (1024.0, ()),
        (1023.9, (1023.899, 1024.0)),  # as good as the box's own, but of another size
        (None, ()),
        ("600", ()),
        (-3, ()),
        (float("nan"), ()),
    ],
)
def test_coco_areas_are_kept_where_they_are_not_those_of_the_boxes(tmp_path, area, expected):
    image = first(coco(tmp_path / "coco", [{**OWN, "area": area}, OWN]), tmp_path / "cache")
    assert image.areas == pytest.approx(expected, abs=0.01)


def test_areas_do_not_change_the_fingerprint_but_weights_do(tmp_path):
    drawn, outlined = (
        load(coco(tmp_path / str(area), [{**OWN, "area": area}]), tmp_path / "cache").fingerprint
        for area in (1024, 500)
    )
    assert drawn == outlined
    plain, weighted = (
        load(write_records(tmp_path / f"weights{w}", bad=False, weight=[w, 1.0]), tmp_path / "cache").fingerprint
        for w in (1.0, 0.5)
    )  # fmt: skip
    assert plain != weighted


@pytest.mark.parametrize(
    ("flag", "set_"), [(1, True), ("1", True), (True, True), ("0", False), (None, False), (0, False)]
)
def test_coco_flags_are_read_as_tools_write_them(tmp_path, flag, set_):
    boxes = [{**OWN, "iscrowd": flag}, {**OWN, "ignore": flag}, {**OWN, "difficult": flag}]
    image = first(coco(tmp_path / "coco", boxes), tmp_path / "cache")
    assert sorted(zip(image.crowd, image.difficult, strict=True)) == sorted(
        [(set_, False), (False, set_), (False, set_)]
    )


def test_coco_is_written_and_read_again_with_areas_and_both_flags(tmp_path):
    boxes = [
        {**OWN, "iscrowd": 1, "area": 300},
        {**OWN, "ignore": 1},
        {"bbox": [50, 60, 70, 80], "area": 5600},
    ]
    source = coco(tmp_path / "coco", boxes)
    convert(source, "coco", tmp_path / "again")
    one, other = (first(folder, tmp_path / "cache") for folder in (source, tmp_path / "again"))
    assert (one.areas, one.crowd, one.difficult) == (other.areas, other.crowd, other.difficult)
    assert one.areas[0] == 300


def test_more_boxes_than_training_uses_are_said_and_all_are_evaluated(tmp_path):
    dataset = load(coco(tmp_path / "coco", [OWN] * 101), tmp_path / "cache")
    assert any("32 training images have more than 100 boxes (up to 101)" in note for note in dataset.notes)
    assert all(len(image.labels) == 101 for image in read_images(dataset.validation.files))
    assert "train: 32 images with more than 100 boxes" in str(describe(dataset).warnings())


def test_a_description_sizes_objects_by_their_areas(tmp_path):
    dataset = load(coco(tmp_path / "coco", [{"bbox": [10, 10, 100, 100], "area": 900}]), tmp_path / "cache")
    assert describe(dataset).parts["train"].by_size == {"car small": 32}
