"""Augmentations move an image and its mask together, and depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from mask_folders import square_scene

from trainers.augmentations import Augmentation
from trainers.errors import UserError
from trainers.recipe import build
from trainers.segmentation.data.arrays import Arrays, TrainingBatches, class_weights
from trainers.segmentation.data.augmentation import APPLIED, augment

OPTIONS = {
    "random_horizontal_flip": {"probability": 1.0},
    "random_vertical_flip": {"probability": 1.0},
    "random_rotation90": {"probability": 1.0},
}


def coded(side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel says the class of each pixel: 40 times it, and its mask."""
    _, mask = square_scene(1, side)
    return np.stack([mask * 40 + 20, mask * 0 + 90, mask * 0 + 10], axis=-1).astype(np.uint8), mask


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("random_horizontal_flip", lambda array: array[:, ::-1]),
        ("random_vertical_flip", lambda array: array[::-1]),
        ("random_rotation90", lambda array: np.rot90(array)),
    ],
)
def test_flips_and_turns_are_exact(name, turned):
    image, mask = square_scene(3, 32)
    each = Augmentation(name=name, options=OPTIONS[name])
    found, labels = augment(image, mask, [each], np.random.default_rng(0))
    assert (found == turned(image)).all()
    assert (labels == turned(mask)).all()


@pytest.mark.parametrize("name", ["random_image_scale", "random_crop_image"])
def test_the_mask_moves_with_the_image_and_what_comes_from_outside_is_ignored(name):
    image, mask = coded()
    moved = 0
    for seed in range(8):
        found, labels = augment(image, mask, [Augmentation(name=name)], np.random.default_rng(seed))
        inside = labels < 255
        # pixels between two classes are mixed in the image; elsewhere it says the class
        agree = np.abs(found[..., 0].astype(int) - (labels.astype(int) * 40 + 20))[inside] < 20
        assert agree.mean() > 0.9
        moved += (labels != mask).any()
    assert moved >= 7


@pytest.mark.parametrize("name", APPLIED)
def test_each_keeps_types_and_shapes_and_repeats_itself_with_the_seed(name):
    image, mask = square_scene(5, 32)
    each = [Augmentation(name=name, options=OPTIONS.get(name, {}))]
    found, labels = augment(image, mask, each, np.random.default_rng(4))
    again, _ = augment(image, mask, each, np.random.default_rng(4))
    assert (found.dtype, found.shape, labels.dtype, labels.shape) == (
        "uint8",
        image.shape,
        "uint8",
        mask.shape,
    )
    assert (found == again).all()
    if name not in OPTIONS and "scale" not in name and "crop" not in name:
        assert (labels == mask).all()


def test_an_epoch_has_each_image_once_in_an_order_of_its_own():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    batches = TrainingBatches(Arrays(images, images[..., 0]), 4, (), seed=3)
    seen = [int(image[0, 0, 0]) for step in range(5) for image in batches[step][0]]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]
    other = TrainingBatches(Arrays(images, images[..., 0]), 4, (), seed=4)
    assert [int(image[0, 0, 0]) for image in other[0][0]] != seen[:4]


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_class_weights_have_a_mean_of_one_over_the_pixels(balance):
    shares = np.array([0.9, 0.09, 0.0, 0.01])
    weights = class_weights(shares, balance)
    assert weights @ shares == pytest.approx(1, abs=1e-6)
    assert weights[2] == 0
    assert weights[3] / weights[0] == pytest.approx(90**balance, rel=1e-5)


def test_a_recipe_refuses_augmentations_that_do_not_apply_to_masks():
    fields = {
        "model": "fcn", "image_size": 32, "batch_size": 2, "steps": 9, "optimizer": {"kind": "adam"},
        "schedule": {"kind": "constant", "base": 0.01}, "augmentations": [{"name": "random_jitter_boxes"}],
    }  # fmt: skip
    with pytest.raises(
        UserError, match="recipe: augmentations: random_jitter_boxes is not for masks; known are"
    ):
        build(fields)
