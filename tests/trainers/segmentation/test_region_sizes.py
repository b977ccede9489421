"""The sizes of what masks show: of each class but the first, all classes counting the same."""

from dataclasses import replace

import numpy as np
import pytest
from mask_folders import square_scene, write_folder

from trainers.segmentation.data.masked_image import read_masked_images
from trainers.segmentation.task import SEGMENTATION


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    return SEGMENTATION.open_data(str(write_folder(folder / "square", 20)), folder / "cache")


def test_a_side_is_the_root_of_a_classs_share_of_its_image(dataset):
    masks = [image.mask for image in read_masked_images(dataset.train.files)]
    expected = [
        np.sqrt((mask == index).mean()) for mask in masks for index in (1, 2) if (mask == index).any()
    ]
    found = SEGMENTATION.object_sides(dataset)
    assert len(found) == 200
    assert min(expected) <= found.min() < found.max() <= max(expected)
    assert np.median(found) == pytest.approx(np.median(expected), abs=0.02)


def test_a_rare_class_counts_as_much_as_a_frequent_one(dataset, monkeypatch):
    from trainers.segmentation.data import region_sizes

    frequent = [np.where(square_scene(i)[1] == 1, 1, 0) for i in range(9)]
    rare = np.zeros((48, 48), np.uint8)
    rare[:4, :4] = 2
    images = [replace(next(read_masked_images(dataset.train.files)), mask=mask) for mask in (*frequent, rare)]
    monkeypatch.setattr(region_sizes, "read_masked_images", lambda files: iter(images))
    found = SEGMENTATION.object_sides(dataset)
    assert np.isclose(found, 4 / 48).sum() == len(found) / 2
