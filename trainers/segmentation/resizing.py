"""Resizing of images to a network's square, and of its logits to an image, by NumPy and OpenCV alone.

Equal to `tf.image.resize` (bilinear, without antialiasing, centres of pixels at .5), which the SavedModel of an export
uses, so that a runtime without TensorFlow gives the same masks.
"""

from __future__ import annotations

import cv2
import numpy as np


def square(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8: both sides stretched, rounded to the nearest, halves to even.

    It reads the rows that it needs, at most 2 side, so that a large image takes hardly longer than a small one.
    """
    if image.shape[:2] == (side, side):
        return image
    top, bottom, down = _neighbours(image.shape[0], side)
    left, right, across = _neighbours(image.shape[1], side)
    upper, lower = (
        _between(_columns(rows, left), _columns(rows, right), across[:, np.newaxis])
        for rows in (image[top], image[bottom])
    )
    found = _between(upper, lower, down[:, np.newaxis, np.newaxis])
    np.rint(found, out=found)
    return np.clip(found, 0, 255, out=found).astype(np.uint8)


def mask_of(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """(S, S, C) float32 logits -> (height, width) uint8: the class of the largest resized logit, the first of equals."""
    best, mask = None, np.zeros((height, width), np.uint8)
    for index in range(logits.shape[-1]):
        plane = np.ascontiguousarray(logits[..., index], np.float32)
        if plane.shape != (height, width):
            plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        if best is None:
            best = plane
            continue
        mask[plane > best] = index
        best = np.maximum(best, plane)
    return mask


def _neighbours(size: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `side` new pixels: the two of `size` between which it lies, and how far (float32) from the first."""
    places = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(size / side) - np.float32(0.5)
    below = np.floor(places)
    low = below.clip(0).astype(int)
    high = np.minimum(np.ceil(places).astype(int), size - 1)
    return low, high, places - below


def _columns(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.take(rows, at, axis=1).astype(np.float32)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """first + (second - first) * share, in the memory of `second`."""
    second -= first
    second *= share
    second += first
    return second
