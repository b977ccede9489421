"""Labels that are wrong: whatever is in them, they are read, reported by name, or refused in one line."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelled_folders import picture
from test_splitting_and_subsets import box, coco

from trainers.datasets import formats
from trainers.datasets.catalogue import Catalogue
from trainers.datasets.formats.files import UnsafePath, inside
from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.opening import open_dataset
from trainers.datasets.preparing import find_problems
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.image_check import ROUNDING, check_image
from trainers.errors import UserError

# Boxes

EDGE = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-100, 200)


@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_the_boxes_are_a_record_has_only_boxes_inside_its_image(edges, fractions):
    boxes = tuple(Box("cat", *each) for each in edges)
    image = LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml", fractions=fractions)
    checked = check_image(image, picture(1), {"cat": 1})
    kept = checked.image
    assert kept is not None
    assert (kept.boxes >= 0).all()
    assert (kept.boxes <= 1).all()
    assert (kept.boxes[:, 2:] >= kept.boxes[:, :2]).all()
    assert len(kept.labels) == len(kept.boxes)
    lost = len(boxes) - len(kept.boxes)
    assert len(checked.problems) >= lost
    assert all(problem.image == "a.jpg" for problem in checked.problems)


@given(st.floats(0, 20), st.floats(0, 20), st.floats(1, 28), st.floats(1, 28))
@settings(max_examples=100, deadline=None)
def test_a_box_inside_its_image_is_kept_as_it_is(top, left, height, width):
    boxes = (Box("cat", top, left, top + height, left + width),)
    checked = check_image(
        LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml"), picture(1), {"cat": 1}
    )
    assert checked.problems == ()
    assert checked.image.pixel_boxes()[0] == pytest.approx(boxes[0][1:5], abs=1e-4)


def test_a_box_may_leave_its_image_by_a_rounded_pixel():
    for beyond, problems in ((ROUNDING, 0), (ROUNDING + 0.1, 1)):
        boxes = (Box("cat", -beyond, 0, 48 + beyond, 64),)
        checked = check_image(
            LabelledImage("a.jpg", Stored(Path("a.jpg")), boxes, "a.xml"), picture(1), {"cat": 1}
        )
        assert checked.image.boxes.tolist() == [[0, 0, 1, 1]]
        assert len(checked.problems) == problems


# File names


@given(st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_file_name_leads_out_of_its_folder(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp()
    try:
        path = inside(root, name)
    except UnsafePath:
        return
    assert path.resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "C:\\a", "..\\a", "a\0b", "\\\\server\\a", "//a"]
)
def test_names_that_would_lead_out_are_refused(tmp_path, name):
    with pytest.raises(UnsafePath):
        inside(tmp_path, name)


# Every format

CLASSES = ("vehicle", "pedestrian", "cyclist")
LABELS = {
    "tfrecord": "*.pbtxt", "waymo": "segment-*", "coco": "*.json", "bdd100k": "*.json", "pascal_voc": "*.xml",
    "yolo": "*.txt", "dataset_yaml": "*.yaml",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """A small folder of each format."""

    def record(number: int) -> CheckedImage:
        boxes = np.array([[0.1, 0.2, 0.5, 0.6]], np.float32)
        return CheckedImage(
            f"{number}.jpg", picture(number), "jpeg", 64, 48, boxes, (number % 3 + 1,), (False,), (False,)
        )

    folders = {}
    for known in formats.all_formats():
        folders[known.NAME] = tmp_path_factory.mktemp(known.NAME)
        parts = {"train": map(record, range(4)), "validation": map(record, range(4, 7))}
        known.write(folders[known.NAME], CLASSES, parts)
    (folders["yolo"] / "data.yaml").unlink()  # which would be read as a dataset YAML
    return folders


def damaged(source: Path, target: Path, pattern: str, data) -> Path:
    """A copy of `source` in which some bytes of one file of labels are others, or gone."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    file = data.draw(st.sampled_from(sorted(target.rglob(pattern))))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at : at + 1] = data.draw(st.binary(max_size=4))
        else:
            del content[at : at + data.draw(st.integers(1, 40))]
        content = content or bytearray(b"\0")
    file.write_bytes(content)
    return target


def survives(name: str, source: Path, folder: Path, data) -> None:
    copy, message = damaged(source, folder / "copy", LABELS[name], data), ""
    try:
        found = formats.recognise(copy)
        find_problems(str(copy), copy, found, lambda problem: str(problem), lambda _: None)
        opened = open_dataset(str(copy), folder / "cache")
        assert opened.train.images > 0
    except UserError as error:
        message = str(error)
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    assert "\n" not in message


@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_labels_are_read_or_refused_and_nothing_else(name, written, tmp_path_factory, data):
    survives(name, written[name], tmp_path_factory.getbasetemp() / f"damaged_{name}", data)


@pytest.mark.slow
@pytest.mark.parametrize("name", LABELS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_labels_damaged_in_many_ways_are_read_or_refused_and_nothing_else(
    name, written, tmp_path_factory, data
):
    survives(name, written[name], tmp_path_factory.getbasetemp() / f"many_{name}", data)


def test_every_format_is_damaged():
    assert set(LABELS) == {known.NAME for known in formats.all_formats()}


# COCO


@pytest.mark.parametrize(
    ("extra_image", "annotation", "kind"),
    [
        ({"id": 3, "file_name": "again.jpg"}, None, "duplicated id"),
        (None, box(99), "annotation for a missing image"),
        (None, {**box(1), "id": 7}, "duplicated annotation id"),
        (None, {**box(1), "id": 41, "bbox": [1, 2, 3]}, "box that is not a number"),
        (None, {**box(1), "id": 41, "bbox": ["a", 2, 3, 4]}, "box that is not a number"),
        (None, {**box(1), "id": 41, "bbox": [math.nan, 2, 3, 4]}, "box that is not a number"),
        (None, {**box(1), "id": 41, "bbox": [1, 2, -3, 4]}, "box without area"),
        (None, {**box(1), "id": 41, "bbox": None}, "annotation without a box"),
        ({"id": "x", "file_name": "../../secret.jpg"}, None, "file name outside the folder"),
    ],
)
def test_what_is_wrong_in_coco_is_named_with_its_line(tmp_path, extra_image, annotation, kind):
    images = [extra_image] if extra_image and ".." not in extra_image["file_name"] else []
    listed = [{"id": i, "file_name": f"{i}.jpg"} for i in range(40)]
    folder = coco(
        tmp_path / "coco",
        [*listed, *images],
        [*(box(i) for i in range(40)), *([annotation] if annotation else [])],
    )
    if extra_image and not images:
        document = json.loads((folder / "labels.json").read_text())
        document["images"].append(extra_image)
        (folder / "labels.json").write_text(json.dumps(document))
    opened = open_dataset(str(folder), tmp_path / "cache")
    (note,) = (note for note in opened.notes if f" x {kind}, " in note)
    assert "labels.json:1" in note


@pytest.mark.parametrize(
    ("categories", "why"),
    [
        ([{"id": 1}], "category 1 has no name"),
        ([{"id": 1, "name": " "}], "category 1 has no name"),
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}], "is there twice"),
        ([{"id": 2, "name": "dog"}], "category_id 1, which is not among the categories"),
        ([], "no category in it"),
    ],
)
def test_categories_that_cannot_be_used_are_refused(tmp_path, categories, why):
    folder = coco(
        tmp_path / "coco", [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)], [box(i) for i in range(4)]
    )
    document = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**document, "categories": categories}))
    with pytest.raises(UserError, match=why):
        open_dataset(str(folder), tmp_path / "cache")


def test_ids_with_gaps_are_remapped_by_name_and_said(tmp_path):
    folder = coco(
        tmp_path / "coco",
        [{"id": i, "file_name": f"{i}.jpg"} for i in range(8)],
        [box(i, 17) for i in range(8)],
    )
    document = json.loads((folder / "labels.json").read_text())
    document["categories"] = [{"id": 17, "name": "cat"}, {"id": 3, "name": "car"}]
    (folder / "labels.json").write_text(json.dumps(document))
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert opened.classes == ("car", "cat")
    assert "label ids remapped by name to 1..2: car 3 -> 1, cat 17 -> 2" in opened.notes


def test_images_of_the_same_name_are_told_apart(tmp_path):
    with Catalogue(tmp_path / "catalogue") as catalogue:
        catalogue.add_all(LabelledImage("a.jpg", Stored(Path("a.jpg")), (), "x") for _ in range(3))
        names = [image.name for _, image in catalogue.numbered_images()]
    assert names == ["a.jpg", "a.jpg~2", "a.jpg~3"]
