"""COCO files with polygons become masks; what cannot be drawn is a problem with its line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mask_folders import square_scene, write_rgb

from trainers.errors import UserError
from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.data.opening import open_dataset

HEIGHT, WIDTH = 40, 60


def polygon(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def drawn_by(annotations, size=(HEIGHT, WIDTH)):
    """A COCO file's `annotations` of image `i`: a function of i."""

    def write(root, count=10):
        listed = []
        for i in range(count):
            write_rgb(root / "photos" / f"{i}.png", square_scene(i, 64)[0][: size[0], : size[1]])
            listed += [{"id": 100 * i + k, "image_id": i, **each} for k, each in enumerate(annotations(i))]
        images = [{"id": i, "file_name": f"{i}.png"} for i in range(count)]
        categories = [{"id": 3, "name": "road"}, {"id": 7, "name": "car"}]
        text = json.dumps({"images": images, "annotations": listed, "categories": categories}, indent=1)
        (root / "labels.json").write_text(text)
        return root

    return write


def good(i):
    run_lengths = [0, 10 * HEIGHT, 5 * HEIGHT, (WIDTH - 15) * HEIGHT]
    return [
        {"category_id": 7, "segmentation": polygon(20, 10, 30 + i, 20)},
        {"category_id": 3, "segmentation": polygon(0, 5, 60, 30)},
        {"category_id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [50 * HEIGHT, 2 * HEIGHT, 8 * HEIGHT]}},
        {"category_id": 7, "segmentation": {"size": [HEIGHT, WIDTH], "counts": run_lengths[1:]}, "iscrowd": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("named", ["", "labels.json"])
def test_polygons_and_run_lengths_are_drawn_the_smaller_in_front_and_crowds_are_ignored(named, tmp_path):
    root = drawn_by(good)(tmp_path / "drawn")
    dataset = open_dataset(str(root / named), tmp_path / "cache")
    assert dataset.classes == ("background", "road", "car")
    assert (dataset.train.images, dataset.validation.images) == (8, 2)
    stored = {image.name: image.mask for image in read_masked_images(dataset.train.files)}
    for name, mask in stored.items():
        i = int(name[len("photos/") : -len(".png")])
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[5:30] = 1
        expected[:, 50:52] = 1
        expected[:, 10:15] = 255
        expected[10:20, 20 : 30 + i] = 2
        assert (mask == expected).mean() > 0.98  # COCO's polygons differ by half a pixel at their edges
        assert {*np.unique(mask)} == {0, 1, 2, 255}


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"category_id": 7, "bbox": [1, 2, 3, 4]}, "object without a polygon, first labels.json:"),
        ({"category_id": 7, "segmentation": [[1, 2, 3, 4]]}, "a polygon needs 3 points or more"),
        ({"category_id": 7, "segmentation": {"size": [9, 9], "counts": [81]}}, "its mask is 9x9 px, the image 60x40"),
        ({"category_id": 5, "segmentation": polygon(1, 1, 9, 9)}, "category 5 is not among its categories"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_one_line(annotation, says, tmp_path):
    root = drawn_by(lambda i: [annotation, *good(i)])(tmp_path / "drawn")
    with pytest.raises(UserError) as refused:
        open_dataset(str(root), tmp_path / "cache")
    assert says in str(refused.value)
    assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()]


def test_a_file_without_categories_is_refused(tmp_path):
    root = drawn_by(good)(tmp_path / "drawn")
    labels = json.loads((root / "labels.json").read_text())
    (root / "labels.json").write_text(json.dumps(labels | {"categories": []}))
    with pytest.raises(UserError, match="0 categories in its COCO files; expected 1 to 254"):
        open_dataset(str(root), tmp_path / "cache")
