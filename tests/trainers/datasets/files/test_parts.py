"""A part is stated by a folder or a label file that is called train, val or test; never by the name of an image."""

import json

import pytest
from labelled_folders import picture, voc_folder
from published_folders import yolo

from trainers.datasets import check
from trainers.datasets.files.parts import StatedParts
from trainers.datasets.opening import open_dataset


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train2017", "train"),
        ("val", "validation"),
        ("valid", "validation"),
        ("images/val2017", "validation"),
        ("val/images", "validation"),
        ("test_images", "test"),
        ("labels-test", "test"),
        ("test-dev2017", "test"),
        ("train/cam_test_drive", "train"),
        ("Val d'Isere", None),
        ("val_de_marne_3", None),
        ("dev-kit-cam", None),
        ("test_drive", None),
        ("trainval", None),
        ("train_val", None),
        ("trainstation", None),
        ("contest", None),
        ("", None),
    ],
)
def test_a_folder_states_a_part_if_its_name_says_nothing_else(tmp_path, folder, part):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name in ("1.jpg", "test1.png", "val_2.jpg", "train.jpg"):
        assert StatedParts(tmp_path).of_image(tmp_path / folder / name) == part


def test_a_folder_beside_that_of_another_part_states_its_own(tmp_path):
    for name in ("city_train_01", "city_val_01", "city_test", "val_thorens"):
        (tmp_path / name).mkdir()
    parts = {path.name: StatedParts(tmp_path).of_image(path / "1.jpg") for path in tmp_path.iterdir()}
    assert parts == {
        "city_train_01": "train",
        "city_val_01": "validation",
        "city_test": "test",
        "val_thorens": None,
    }


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["instances_train2017.json", "instances_val2017.json"], ["train", "validation"]),
        (["instances_val.json"], ["validation"]),
        (["train.tfrecord-00000-of-00002"], ["train"]),
        (["raccoon_train.record", "raccoon_test.record"], ["train", "test"]),
        (["coco_train.record-00000-of-00100", "coco_val.record-00003-of-00010"], ["train", "validation"]),
        (["test_drive.json"], [None]),
        (["raccoon_test.record"], [None]),
        (["val_de_marne.tfrecord", "test_drive.tfrecord"], [None, None]),
    ],
)
def test_a_label_file_states_a_part_by_itself_or_beside_its_neighbours(tmp_path, names, parts):
    for name in names:
        (tmp_path / name).touch()
    assert [StatedParts(tmp_path).of_labels(tmp_path / name) for name in names] == parts


def test_the_file_that_a_user_names_states_no_part(tmp_path):
    (tmp_path / "test.record").touch()
    assert StatedParts(tmp_path / "test.record").of_labels(tmp_path / "test.record") is None


def test_no_folder_above_the_source_states_a_part(tmp_path):
    root = tmp_path / "test" / "photos"
    (root / "cam").mkdir(parents=True)
    assert StatedParts(root).of_image(root / "cam" / "1.jpg") is None
    assert StatedParts(root).of_image(tmp_path / "test" / "elsewhere.jpg") is None


NAMES = ("test_{}", "val_de_marne_{}", "Val d'Isere {}", "dev-kit-cam_{}", "train ({})", "validation.{}")


@pytest.mark.parametrize("name", NAMES)
def test_whatever_images_are_called_a_folder_without_parts_is_split_and_that_is_said(tmp_path, name):
    for number in range(10):
        yolo(
            tmp_path / "yolo", f"{name.format(number)}.jpg", f"{name.format(number)}.txt", "0 0.5 0.5 0.5 0.5"
        )
        (tmp_path / "yolo" / f"{name.format(number)}.jpg").write_bytes(picture(number))
    (tmp_path / "yolo" / "classes.txt").write_text("cat\n")
    report = check(tmp_path / "yolo")
    assert report.notes == ("split by image, balanced by class: 8 training images, 2 validation images",)
    assert (report.images, report.affected, report.error) == (10, 0, None)


def test_one_coco_file_over_folders_of_parts_keeps_them(tmp_path):
    listed = [f"{part}/{number}.jpg" for part in ("train", "val") for number in range(4)]
    for number, name in enumerate(listed):
        (tmp_path / "coco" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "coco" / name).write_bytes(picture(number))
    document = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(listed)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 30, 40]}
            for number in range(8)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(document))
    opened = open_dataset(str(tmp_path / "coco"), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (4, 4)
    alone = open_dataset(str(tmp_path / "coco" / "labels.json"), tmp_path / "cache")
    assert alone.fingerprint == opened.fingerprint


def test_voc_parts_are_those_of_the_images_folders(tmp_path):
    for part, count in (("train", 6), ("val", 3)):
        voc_folder(tmp_path / "pets" / part, count)
    opened = open_dataset(str(tmp_path / "pets"), tmp_path / "cache")
    assert (opened.train.images, opened.validation.images) == (6, 3)
