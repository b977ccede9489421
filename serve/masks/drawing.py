"""Draws regions into a frame: each class but the first in its colour over the image, and its name at the centroid."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from serve.masks.regions import Region
from serve.video.drawing import COLOURS, FONT

OPACITY = 0.5


@functools.cache
def _mixed_with(class_id: int) -> np.ndarray:
    """(1, 256, 3) uint8: what each value of red, green and blue becomes under the class's colour."""
    colour = np.array(COLOURS[class_id % len(COLOURS)])
    mixed: np.ndarray = np.arange(256)[np.newaxis, :, np.newaxis] * (1 - OPACITY) + colour * OPACITY
    return mixed.astype(np.uint8)


def draw(image: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Draw into the (H, W, 3) uint8 RGB image in place, and return it."""
    height, width = image.shape[:2]
    shown = [each for each in regions if each.class_id > 0]
    for region in shown:
        left, top, right, bottom = map(int, region.box)
        here = np.ascontiguousarray(region.mask(height, width)[top:bottom, left:right])
        part = image[top:bottom, left:right]
        cv2.copyTo(cv2.LUT(part, _mixed_with(region.class_id)), here, part)
    size, thick = max(0.35, 0.7 * max(height, width) / 1600), max(1, round(2 * max(height, width) / 1600))
    for region in shown:
        (text_width, text_height), _ = cv2.getTextSize(region.name, FONT, size, thick)
        x = min(max(0, round(region.centroid[0] - text_width / 2)), max(0, width - text_width))
        y = min(max(text_height, round(region.centroid[1])), height - 1)
        for shade, stroke in (((0, 0, 0), thick + 2), ((255, 255, 255), thick)):
            cv2.putText(image, region.name, (x, y), FONT, size, shade, stroke, cv2.LINE_AA)
    return image
