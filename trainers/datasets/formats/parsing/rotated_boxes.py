"""The bounding boxes of a rectangle and of an ellipse that are turned."""

from __future__ import annotations

import math

Edges = tuple[float, float, float, float]


def around_turned(
    x: float, y: float, width: float, height: float, degrees: float, pivot: tuple[float, float]
) -> Edges:
    """ymin, xmin, ymax, xmax around a rectangle that is turned clockwise about `pivot`, all in pixels.

    x, y: its top left corner before that.
    """
    if not degrees:
        return y, x, y + height, x + width
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    moved = [(across - pivot[0], down - pivot[1]) for across, down in corners]
    xs = [pivot[0] + across * cosine - down * sine for across, down in moved]
    ys = [pivot[1] + across * sine + down * cosine for across, down in moved]
    return min(ys), min(xs), max(ys), max(xs)


def around_ellipse(x: float, y: float, across: float, down: float, degrees: float) -> Edges:
    """ymin, xmin, ymax, xmax around an ellipse with its middle at x, y that is turned clockwise, all in pixels.

    across, down: its radii before that. It touches its box where the derivative of each coordinate is 0.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(across * cosine, down * sine)
    half_height = math.hypot(across * sine, down * cosine)
    return y - half_height, x - half_width, y + half_height, x + half_width
