"""Augmentations of an image and its mask, by the names and options of the Object Detection API (trainers.augmentations).

Those that move pixels are joined into one resampling: bilinear for the image, nearest for the mask. Pixels from outside
the image are ignored. Random numbers come from the caller's generator, so that a batch depends on its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from trainers.augmentations import Augmentation
from trainers.segmentation.data.sources.colour_map import IGNORE

Random = np.random.Generator
Options = Mapping[str, Any]


def _flip(axis: int) -> Callable[[Options, Random], np.ndarray]:
    def matrix(options: Options, random: Random) -> np.ndarray:
        found = np.eye(3)
        if random.random() < options["probability"]:
            found[axis, axis], found[axis, 2] = -1, 1
        return found

    return matrix


def _rotation(options: Options, random: Random) -> np.ndarray:
    if random.random() >= options["probability"]:
        return np.eye(3)
    return np.array([[0.0, -1, 1], [1, 0, 0], [0, 0, 1]])  # counterclockwise


def _scale(options: Options, random: Random) -> np.ndarray:
    side = 1 / random.uniform(options["min_scale_ratio"], options["max_scale_ratio"])
    return _window(side, side, random)


def _crop(options: Options, random: Random) -> np.ndarray:
    area = random.uniform(options["min_area"], options["max_area"])
    low, high = np.log(options["min_aspect_ratio"]), np.log(options["max_aspect_ratio"])
    aspect = np.exp(random.uniform(low, high))
    return _window(min(1.0, np.sqrt(area * aspect)), min(1.0, np.sqrt(area / aspect)), random)


def _window(width: float, height: float, random: Random) -> np.ndarray:
    """The window of so large a share of the image, anywhere in it; around the image if it is larger."""
    left, top = random.uniform(size=2) * (1 - np.array([width, height]))
    return np.array([[width, 0, left], [0, height, top], [0, 0, 1]])


# name -> a matrix (3, 3) from coordinates (x, y, 1) of the result to those of the image, both 0 to 1
_MOVES: dict[str, Callable[[Options, Random], np.ndarray]] = {
    "random_horizontal_flip": _flip(0),
    "random_vertical_flip": _flip(1),
    "random_rotation90": _rotation,
    "random_image_scale": _scale,
    "random_crop_image": _crop,
}


def _brightness(image: np.ndarray, options: Options, random: Random) -> np.ndarray:
    found: np.ndarray = image + np.float32(255 * random.uniform(-options["max_delta"], options["max_delta"]))
    return found


def _contrast(image: np.ndarray, options: Options, random: Random) -> np.ndarray:
    factor = random.uniform(options["min_delta"], options["max_delta"])
    mean = image.mean(axis=(0, 1), keepdims=True)
    found: np.ndarray = (image - mean) * np.float32(factor) + mean
    return found


def _saturation(image: np.ndarray, options: Options, random: Random) -> np.ndarray:
    grey = _grey(image)
    factor = np.float32(random.uniform(options["min_delta"], options["max_delta"]))
    found: np.ndarray = grey + (image - grey) * factor
    return found


def _hue(image: np.ndarray, options: Options, random: Random) -> np.ndarray:
    hsv = cv2.cvtColor(image.clip(0, 255) / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * random.uniform(-options["max_delta"], options["max_delta"])) % 360
    turned: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)
    return turned


def _to_grey(image: np.ndarray, options: Options, random: Random) -> np.ndarray:
    return np.repeat(_grey(image), 3, axis=2) if random.random() < options["probability"] else image


def _grey(image: np.ndarray) -> np.ndarray:
    luma: np.ndarray = image @ np.array([[0.299], [0.587], [0.114]], np.float32)  # Rec. 601
    return luma


# name -> changes an image (S, S, 3) float32 of 0 to 255; what leaves that range is cut at the end
_LIGHTS: dict[str, Callable[[np.ndarray, Options, Random], np.ndarray]] = {
    "random_adjust_brightness": _brightness,
    "random_adjust_contrast": _contrast,
    "random_adjust_saturation": _saturation,
    "random_adjust_hue": _hue,
    "random_rgb_to_gray": _to_grey,
}
APPLIED = (*_MOVES, *_LIGHTS)


def augment(
    image: np.ndarray, mask: np.ndarray, augmentations: Sequence[Augmentation], random: Random
) -> tuple[np.ndarray, np.ndarray]:
    """The augmented image and mask. image: (S, S, 3) uint8 RGB. mask: (S, S) uint8. Returns the same types."""
    matrix = np.eye(3)
    lights = []
    for each in augmentations:
        if each.name in _MOVES:
            matrix = matrix @ _MOVES[each.name](each.options, random)
        else:
            lights.append(each)
    if not np.array_equal(matrix, np.eye(3)):
        image, mask = _moved(image, mask, matrix)
    if not lights:
        return image, mask
    lit = image.astype(np.float32)
    for each in lights:
        lit = _LIGHTS[each.name](lit, each.options, random)
    return lit.clip(0, 255).astype(np.uint8), mask


def _moved(image: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    side = image.shape[0]
    # from centres of pixels to coordinates of 0 to 1, and back
    to = np.array([[1 / side, 0, 0.5 / side], [0, 1 / side, 0.5 / side], [0, 0, 1]])
    pixels = (np.linalg.inv(to) @ matrix @ to)[:2]
    inverse = cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(image, pixels, (side, side), flags=cv2.INTER_LINEAR | inverse)
    labels = cv2.warpAffine(
        mask, pixels, (side, side), flags=cv2.INTER_NEAREST | inverse, borderValue=(IGNORE,)
    )
    return np.asarray(moved), np.asarray(labels)
