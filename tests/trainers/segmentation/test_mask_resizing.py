"""Resizing without TensorFlow gives the pixels of TensorFlow's, by which exports work."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.segmentation import resizing


@pytest.mark.slow(10)
@pytest.mark.parametrize(
    ("height", "width", "side"), [(256, 256, 160), (37, 90, 64), (64, 64, 64), (480, 20, 96)]
)
def test_squares_and_masks_are_those_of_tensorflow(height, width, side):
    import tensorflow as tf

    from trainers.segmentation.graph import masks_of, squared

    random = np.random.default_rng(side)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    expected = squared(tf.constant(image[np.newaxis]), tf.constant(side)).numpy()[0]
    off = np.abs(resizing.square(image, side).astype(int) - expected)
    assert (off.max(), (off > 0).mean() < 1e-4) == (off.max() and 1, True)
    logits = random.normal(size=(side, side, 5)).astype(np.float32)
    masks = masks_of(tf.constant(logits[np.newaxis]), tf.constant(height), tf.constant(width)).numpy()[0]
    assert (resizing.mask_of(logits, height, width) == masks).mean() > 0.9999


def test_a_square_reads_only_the_pixels_that_it_needs():
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[1::2, 1::2] = 255  # bilinear without antialiasing: between the pixels around each centre
    found = resizing.square(image, 250)
    assert found.shape == (250, 250, 3)
    assert set(np.unique(found)) <= {0, 64, 128, 255}


def test_the_first_of_equal_logits_wins():
    assert (resizing.mask_of(np.zeros((4, 4, 3), np.float32), 8, 8) == 0).all()
