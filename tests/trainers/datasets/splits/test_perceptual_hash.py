"""The hash of pixels is nearly that of their file, however the file is decoded."""

from __future__ import annotations

import cv2
import numpy as np

from trainers.datasets.splits.perceptual_hash import NEAR_IDENTICAL, hash_number, pixel_hash


def street(seed: int) -> np.ndarray:
    """(380, 640, 3) uint8 RGB: rectangles on a gradient."""
    generator = np.random.default_rng(seed)
    picture = np.linspace(40, 220, 380 * 640 * 3).reshape(380, 640, 3).astype(np.uint8)
    for _ in range(12):
        y, x, height, width = generator.integers(0, (300, 500, 200, 300))
        picture[y : y + height, x : x + width] = generator.integers(0, 255, 3)
    return picture


def test_the_hash_of_pixels_is_that_of_their_file_but_for_a_few_bits():
    hashes = []
    for seed in range(6):
        pixels = street(seed)
        _, file = cv2.imencode(".jpg", pixels[:, :, ::-1])
        decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)[:, :, ::-1]
        hashes.append(pixel_hash(np.ascontiguousarray(decoded)))
        assert (hashes[-1] ^ hash_number(file.tobytes())).bit_count() <= NEAR_IDENTICAL / 2
    assert (
        min((one ^ other).bit_count() for one in hashes for other in hashes if one != other) > NEAR_IDENTICAL
    )


def test_the_smallest_images_have_a_hash():
    assert 0 <= pixel_hash(np.full((1, 3, 3), 9, np.uint8)) < 2**64
