"""Draws regions into a frame: each class but the first in its colour over the image, and its name at the centroid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from serve.masks.regions import Region
from serve.video.drawing import COLOURS, FONT

OPACITY = 0.5


def draw(image: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Draw into the (H, W, 3) uint8 RGB image in place, and return it."""
    height, width = image.shape[:2]
    shown = [each for each in regions if each.class_id > 0]
    for region in shown:
        colour = np.array(COLOURS[region.class_id % len(COLOURS)], np.float32)
        left, top, right, bottom = map(int, region.box)
        here = region.mask(height, width)[top:bottom, left:right, np.newaxis]
        part = image[top:bottom, left:right]
        mixed = (part * (1 - OPACITY) + colour * OPACITY).astype(np.uint8)
        np.copyto(part, mixed, where=here.astype(bool))
    size, thick = max(0.35, 0.7 * max(height, width) / 1600), max(1, round(2 * max(height, width) / 1600))
    for region in shown:
        (text_width, text_height), _ = cv2.getTextSize(region.name, FONT, size, thick)
        x = min(max(0, round(region.centroid[0] - text_width / 2)), max(0, width - text_width))
        y = min(max(text_height, round(region.centroid[1])), height - 1)
        for shade, stroke in (((0, 0, 0), thick + 2), ((255, 255, 255), thick)):
            cv2.putText(image, region.name, (x, y), FONT, size, shade, stroke, cv2.LINE_AA)
    return image
