"""Canvas: an image that records which road user each pixel shows, so that boxes can be measured."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Point = tuple[float, float]

_SHIFT = 3  # fractional bits of OpenCV's fixed-point coordinates


def _fixed(point: Point) -> tuple[int, int]:
    return round(point[0] * 2**_SHIFT), round(point[1] * 2**_SHIFT)


class Canvas:
    """Draws anti-aliased shapes in pixel coordinates (x, y), each over the earlier ones.

    pixels: uint8 [height, width, 3], BGR.
    owner: int16 [height, width]; the number of the road user that a pixel shows, 0 for the street.
    drawing: the owner of the shapes that are drawn next.
    """

    def __init__(self, width: int, height: int) -> None:
        self.pixels: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        self.owner: NDArray[np.int16] = np.zeros((height, width), np.int16)
        self.drawing = 0

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Draw a filled polygon."""
        corners = [np.array([_fixed(p) for p in points], np.int32)]
        cv2.fillPoly(self.pixels, corners, colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.owner, corners, (self.drawing,), cv2.LINE_8, _SHIFT)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Draw a filled, axis-aligned rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, tilt: float = 0.0) -> None:
        """Draw a filled ellipse, rotated clockwise by `tilt` degrees."""
        where, axes = _fixed(centre), _fixed((max(radii[0], 0.3), max(radii[1], 0.3)))
        cv2.ellipse(self.pixels, where, axes, tilt, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)
        cv2.ellipse(self.owner, where, axes, tilt, 0, 360, (self.drawing,), -1, cv2.LINE_8, _SHIFT)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        """Draw the outline of a circle, `width` pixels thick."""
        where, size, thickness = _fixed(centre), round(radius * 2**_SHIFT), max(1, round(width))
        cv2.circle(self.pixels, where, size, colour, thickness, cv2.LINE_AA, _SHIFT)
        cv2.circle(self.owner, where, size, (self.drawing,), thickness, cv2.LINE_8, _SHIFT)

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Draw a straight line, `width` pixels thick."""
        thickness = max(1, round(width))
        cv2.line(self.pixels, _fixed(start), _fixed(end), colour, thickness, cv2.LINE_AA, _SHIFT)
        cv2.line(self.owner, _fixed(start), _fixed(end), (self.drawing,), thickness, cv2.LINE_8, _SHIFT)
