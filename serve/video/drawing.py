"""Draws detections into a frame: a box each, labelled with class, score and track."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from serve.detections import Detection

# Okabe and Ito's palette for colour blindness (jfly.uni-koeln.de/color) without black; index: class id modulo 7
COLOURS = (
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(image: np.ndarray, detections: Sequence[Detection]) -> np.ndarray:
    """Draw into the (H, W, 3) uint8 RGB image in place, and return it."""
    height, width = image.shape[:2]
    scale = max(height, width) / 1600
    thick = max(1, round(2 * scale))
    size = max(0.35, 0.7 * scale)
    for found in detections:
        colour = COLOURS[found.class_id % len(COLOURS)]
        left, top, right, bottom = (round(value) for value in found.pixels(height, width))
        cv2.rectangle(image, (left, top), (right, bottom), colour, thick + 1)
        label = f"{found.name} {found.score:.2f}" + (f" #{found.track}" if found.track is not None else "")
        (text_width, text_height), base = cv2.getTextSize(label, FONT, size, thick)
        y = max(top, text_height + base)
        cv2.rectangle(image, (left, y - text_height - base), (left + text_width, y), colour, cv2.FILLED)
        dark = sum(colour) > 380  # of 765: black text on light colours
        cv2.putText(
            image,
            label,
            (left, y - base),
            FONT,
            size,
            (0, 0, 0) if dark else (255, 255, 255),
            thick,
            cv2.LINE_AA,
        )
    return image
