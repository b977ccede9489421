"""Of several COCO files for the same images, one labels each image with a mask; the others are left out or problems."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mask_folders import square_scene, write_rgb

from trainers.errors import UserError
from trainers.segmentation.__main__ import main
from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.data.opening import open_dataset

CATEGORIES = [{"id": 3, "name": "road"}, {"id": 7, "name": "car"}]


def rectangle(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def write_photos(root, count=40):
    for i in range(count):
        write_rgb(root / "photos" / f"{i}.png", square_scene(i, 64)[0])
    return root


def write_labels(root, name, numbers, of_image=None, **keys):
    """A COCO file of these photos with a road and a car on each."""
    shapes = [(3, rectangle(0, 10, 64, 50)), (7, rectangle(20, 20, 30, 30))] if of_image is None else of_image
    document = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in numbers],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": category, "segmentation": shape}
            for i in numbers
            for k, (category, shape) in enumerate(shapes)
        ],
        "categories": CATEGORIES,
    }
    (root / name).write_text(json.dumps(document | keys, indent=1))


def names(part):
    return {image.name for image in read_masked_images(part.files)}


def test_a_folder_with_a_file_of_all_images_beside_those_of_its_parts_is_refused(tmp_path):
    root = write_photos(tmp_path / "street")
    for name, images in (("all.json", range(40)), ("train.json", range(30)), ("val.json", range(30, 40))):
        write_labels(root, name, images)
    with pytest.raises(UserError) as refused:
        open_dataset(str(root), tmp_path / "cache")
    assert "40 x image labelled twice, first train.json:" in str(refused.value)
    assert "photos/0.png already has labels in all.json; put all its labels in one place" in str(
        refused.value
    )


def test_an_image_in_two_parts_is_used_in_the_first_alone(tmp_path):
    root = write_photos(tmp_path / "street")
    write_labels(root, "train.json", range(31))
    write_labels(root, "val.json", range(30, 40))
    dataset = open_dataset(str(root), tmp_path / "cache")
    assert not names(dataset.train) & names(dataset.validation)
    assert (dataset.train.images, dataset.validation.images) == (31, 9)
    assert any("1 x image labelled twice, in val.json:" in note for note in dataset.notes)


def test_an_image_id_that_is_repeated_in_a_file_is_a_problem(tmp_path):
    root = write_photos(tmp_path / "street")
    listed = [{"id": i, "file_name": f"{i}.png"} for i in range(39)]
    write_labels(root, "labels.json", range(39), images=[*listed, {"id": 7, "file_name": "39.png"}])
    dataset = open_dataset(str(root), tmp_path / "cache")
    assert "photos/39.png" not in names(dataset.train) | names(dataset.validation)
    assert any("image id 7 is repeated; the second image, 39.png" in note for note in dataset.notes)


def write_key_points(root, images):
    write_labels(root, "person_keypoints_val.json", images, [(3, rectangle(0, 10, 64, 50))])


def write_captions(root, images):
    captions = [{"id": i, "image_id": i, "caption": "a street"} for i in images]
    document = {"images": [{"id": i, "file_name": f"{i}.png"} for i in images], "annotations": captions}
    (root / "captions_val.json").write_text(json.dumps(document))


def write_unlabelled(root, images):
    listed = [{"id": i, "file_name": f"{i}.png"} for i in images]
    (root / "image_info_val.json").write_text(json.dumps({"images": listed, "categories": CATEGORIES}))


@pytest.mark.parametrize(
    ("write_other", "says"),
    [
        (
            write_key_points,
            "person_keypoints_val.json is left out: it labels the images of instances_val.json",
        ),
        (write_captions, "captions_val.json is left out: it labels the images of instances_val.json"),
        (write_unlabelled, "image_info_val.json is left out: it has no masks"),
    ],
)
def test_files_without_masks_of_their_own_beside_instances_are_left_out(write_other, says, tmp_path, capsys):
    root = write_photos(tmp_path / "street")
    write_labels(root, "instances_train.json", range(30))
    write_labels(root, "instances_val.json", range(30, 40))
    write_other(root, range(30, 40))
    dataset = open_dataset(str(root), tmp_path / "cache")
    assert (dataset.train.images, dataset.validation.images) == (30, 10)
    assert all(
        {*np.unique(image.mask)} == {0, 1, 2} for image in read_masked_images(dataset.validation.files)
    )
    assert says in dataset.notes
    assert main(["check", str(root)]) == 0
    assert f"note: {says}" in capsys.readouterr().out
