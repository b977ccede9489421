"""YOLO folders and dataset YAMLs as people and their tools leave them, written by hand."""

import pytest
from published_folders import images, recognised, yolo

from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError

YAMLS = {
    "a list of names": "train: images/train\nval: images/val\nnc: 2\nnames: ['cat', 'dog']\n",
    "names by number": "path: .\ntrain: images/train  # as Ultralytics\nval: images/val\nnames:\n  0: cat\n  1: dog\n",
    "Roboflow's": "train: ../images/train\nval: ../images/val\nnames: ['cat', 'dog']\n",
    "another's path": "path: ../datasets/elsewhere\ntrain: images/train\nval: images/val\nnames: ['cat', 'dog']\n",
    "lists of images": "train: train.txt\nval: [images/val]\nnames: ['cat', 'dog']\n",
}


@pytest.mark.parametrize("kind", YAMLS)
def test_yolo_with_a_data_yaml(tmp_path, kind):
    root = tmp_path / "pets"
    yolo(root, "images/train/a.jpg", "labels/train/a.txt", "1 0.5 0.5 0.25 0.5")
    yolo(root, "images/train/b.jpg", "labels/train/b.txt", "0 0.1 0.1 0.9 0.1 0.9 0.8", "")
    images(root, "images/train/nothing.jpg")
    yolo(root, "images/val/c.jpg", "labels/val/c.txt", "0 0.5 0.5 1 1")
    (root / "train.txt").write_text("./images/train/a.jpg\nimages/train/b.jpg\n./images/train/nothing.jpg\n")
    (root / "data.yaml").write_text(YAMLS[kind])
    opened = recognised(root, "dataset_yaml", tmp_path)
    assert opened.classes == ("cat", "dog")
    assert (opened.train.images, opened.validation.images) == (3, 1)
    boxes = {record.name.split("/")[-1]: record.boxes.tolist() for record in read_images(opened.train.files)}
    assert boxes["a.jpg"][0] == pytest.approx([0.25, 0.375, 0.75, 0.625])
    assert boxes["b.jpg"][0] == pytest.approx([0.1, 0.1, 0.8, 0.9])
    assert boxes["nothing.jpg"] == []
    assert open_dataset(str(root / "data.yaml"), tmp_path / "cache").fingerprint == opened.fingerprint


def test_a_change_behind_a_yaml_is_seen(tmp_path):
    root = tmp_path / "pets"
    for part, name in (("train", "a"), ("train", "b"), ("val", "c")):
        yolo(root, f"images/{part}/{name}.jpg", f"labels/{part}/{name}.txt", "0 0.5 0.5 0.25 0.5")
    (root / "yaml").mkdir()
    (root / "yaml" / "mine.yaml").write_text(
        f"path: {root}\ntrain: images/train\nval: images/val\nnames: [cat]\n"
    )
    before = open_dataset(str(root / "yaml" / "mine.yaml"), tmp_path / "cache")
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    assert (
        open_dataset(str(root / "yaml" / "mine.yaml"), tmp_path / "cache").fingerprint != before.fingerprint
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("train: nowhere\nval: nowhere\n", ".*nowhere does not exist"),
        ("train: images\nnames: [a, a]\n", "a different name"),
        ("train: images\nnames: cats\n", "names: expected a list"),
        ("train: images\nnames: [no, yes]\n", "name of class 0 is read as False; put it in quotes"),
        ("train: images\nnames: {0: cat, 1: }\n", "name of class 1 is read as None; put it in quotes"),
        ("train: [\n", "cannot be read as YAML"),
        ("- train: images\ntrain: images", "cannot be read as YAML"),
    ],
)
def test_a_yaml_that_cannot_be_used_is_refused(tmp_path, text, why):
    yolo(tmp_path, "images/a.jpg", "labels/a.txt", "0 0.5 0.5 1 1")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=why):
        open_dataset(str(tmp_path / "data.yaml"), tmp_path / "cache")


def test_yolo_labels_without_names_are_refused(tmp_path):
    yolo(tmp_path / "pets", "images/a.jpg", "labels/a.txt", "0 0.5 0.5 1 1")
    with pytest.raises(UserError, match=r"add a classes\.txt"):
        recognised(tmp_path / "pets", "yolo", tmp_path)


def test_a_yolo_class_without_a_name_is_refused_with_its_line(tmp_path):
    yolo(tmp_path / "pets", "a.jpg", "a.txt", "0 0.5 0.5 1 1", "7 0.5 0.5 1 1")
    (tmp_path / "pets" / "classes.txt").write_text("cat\n")
    with pytest.raises(UserError, match=r"a\.txt:2: class 7 is not in classes\.txt"):
        recognised(tmp_path / "pets", "yolo", tmp_path)


@pytest.mark.parametrize(
    ("image", "labels", "names"),
    [
        ("images/{}.Jpg", "labels/{}.txt", "classes.txt"),
        ("images/{}.JPG", "labels/{}.TXT", "Classes.txt"),
        ("Images/{}.jpg", "Labels/{}.txt", "obj.NAMES"),
        ("IMAGES/train/{}.jpg", "LABELS/train/{}.txt", "CLASSES.TXT"),
        ("{}.jpeg", "{}.TXT", "classes.txt"),
    ],
)
def test_names_are_read_however_their_case_is(tmp_path, image, labels, names):
    for number in range(4):
        yolo(tmp_path / "pets", image.format(number), labels.format(number), "0 0.5 0.5 0.25 0.5")
    images(tmp_path / "pets", *map(image.format, range(4)))  # each another
    (tmp_path / "pets" / names).write_text("cat\n")
    opened = recognised(tmp_path / "pets", "yolo", tmp_path)
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert [len(record.labels) for record in records] == [1] * 4
    assert not any("missing image" in note for note in opened.notes)


def test_a_label_file_in_upper_case_among_others_is_read(tmp_path):
    for number in range(8):
        suffix = "TXT" if number % 2 else "txt"
        yolo(tmp_path / "pets", f"images/{number}.jpg", f"labels/{number}.{suffix}", "0 0.5 0.5 0.25 0.5")
    images(tmp_path / "pets", *(f"images/{number}.jpg" for number in range(8)))
    (tmp_path / "pets" / "DATA.YAML").write_text("train: images\nnames: [cat]\n")
    opened = recognised(tmp_path / "pets", "dataset_yaml", tmp_path)
    records = [record for part in opened.parts.values() for record in read_images(part.files)]
    assert [len(record.labels) for record in records] == [1] * 8


@pytest.mark.parametrize(
    ("parts", "images_of", "said"),
    [
        ("train: images/a\nval: images/a", {"train": 3, "validation": 1}, "val: images/a is the train part"),
        (
            "train: images/a\nval: images/b\ntest: ./images/b",
            {"train": 4, "validation": 4},
            "test: ./images/b is the validation part",
        ),
    ],
)
def test_a_folder_that_a_yaml_names_for_two_parts_is_one_part(tmp_path, parts, images_of, said):
    """As coco128.yaml, whose `val` is its `train`; without a validation part, a split is made."""
    root = tmp_path / "pets"
    for folder in "ab":
        for number in range(4):
            yolo(root, f"images/{folder}/{number}.jpg", f"labels/{folder}/{number}.txt", "0 0.5 0.5 0.25 0.5")
    images(root, *(f"images/{folder}/{number}.jpg" for folder in "ab" for number in range(4)))
    (root / "data.yaml").write_text(f"{parts}\nnames: [cat]\n")
    opened = recognised(root, "dataset_yaml", tmp_path)
    assert {name: part.images for name, part in opened.parts.items()} == images_of
    assert f"data.yaml: {said}; it is not used twice" in opened.notes


def test_a_folder_of_links_to_images_elsewhere_says_that_they_are_left_out(tmp_path):
    yolo(tmp_path / "store", "a.jpg", "pets/labels/a.txt", "0 0.5 0.5 1 1")
    pets = tmp_path / "store" / "pets"
    (pets / "classes.txt").write_text("cat\n")
    (pets / "images").mkdir()
    (pets / "images" / "a.jpg").symlink_to(tmp_path / "store" / "a.jpg")
    with pytest.raises(
        UserError, match=r"images/a\.jpg is left out: a link out of the folder, to .*store/a\.jpg"
    ):
        open_dataset(str(pets), tmp_path / "cache")


@pytest.mark.parametrize("with_yaml", [False, True])
def test_images_that_are_links_out_of_the_folder_count_towards_the_limit(tmp_path, with_yaml):
    root = tmp_path / "pets"
    for number in range(20):
        yolo(root, f"images/{number}.jpg", f"labels/{number}.txt", "0 0.5 0.5 0.25 0.5")
    images(tmp_path, *(f"elsewhere/{number}.jpg" for number in range(2)))
    (root / "classes.txt").write_text("cat\n")
    if with_yaml:
        (root / "data.yaml").write_text("train: images\nnames: ['cat']\n")
    for number in range(2):
        (root / "images" / f"linked{number}.jpg").symlink_to(tmp_path / "elsewhere" / f"{number}.jpg")
        (root / "labels" / f"linked{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    with pytest.raises(
        UserError, match=r"2 of 22 images have problems.*2 x skipped file.*a link out of the folder"
    ):
        open_dataset(str(root), tmp_path / "cache")


def test_predictions_with_their_confidence_are_refused_as_such(tmp_path):
    root = tmp_path / "pets"
    for number in range(4):
        yolo(root, f"images/{number}.jpg", f"labels/{number}.txt", "0 0.5 0.5 0.25 0.5 0.931")
    (root / "classes.txt").write_text("cat\n")
    with pytest.raises(UserError, match="is the last number the confidence of a prediction"):
        open_dataset(str(root), tmp_path / "cache")
