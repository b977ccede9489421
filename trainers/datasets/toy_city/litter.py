"""Draws litter of ten classes for the toy city: small, crumpled things that lie on the ground, tilted at random.

A class is told by its outline, its colours and one detail, such as a bottle's cap; each is crumpled in its own way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainers.datasets.toy_city.canvas import Canvas, Colour, Point

Draw = Callable[[Canvas, Point, float, float, np.random.Generator], None]


@dataclass(frozen=True)
class Litter:
    """What a class of litter looks like. Lengths are fractions of its own.

    heights: smallest and largest diagonal, as a fraction of the nearest possible pedestrian.
    outline: corners (x, y) of the uncrumpled thing, x from -1 to 1 along it, y from -1 to 1 across.
    slender: width / length. crumple: standard deviation by which corners move.
    colours: BGR; one is chosen. detail: corners of its detail, in the detail's colour.
    """

    outline: tuple[Point, ...]
    slender: float
    crumple: float
    colours: tuple[Colour, ...]
    detail: tuple[Point, ...]
    detail_colour: Colour
    heights: tuple[float, float] = (0.12, 0.3)

    def draw(
        self, canvas: Canvas, foot: Point, height: float, phase: float, look: np.random.Generator
    ) -> None:
        """As Kind.draw; `height` is its greatest length. It does not move: `phase` is not used."""
        colour = self.colours[int(look.integers(len(self.colours)))]
        tilt, length = look.uniform(0, math.pi), height * look.uniform(0.75, 1.0) / 2
        middle = foot[0], foot[1] - height / 2
        moved = [
            (x + look.normal(0, self.crumple), y + look.normal(0, self.crumple)) for x, y in self.outline
        ]

        def placed(corners: list[Point]) -> list[Point]:
            turned = []
            for x, y in corners:
                along, across = x * length, y * length * self.slender
                turned.append((
                    middle[0] + along * math.cos(tilt) - across * math.sin(tilt),
                    middle[1] + along * math.sin(tilt) + across * math.cos(tilt),
                ))  # fmt: skip
            return turned

        canvas.polygon(placed(moved), colour)
        dark = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
        fold = look.uniform(-0.5, 0.5)
        start, end = placed([(fold, -0.6), (fold + look.normal(0, 0.2), 0.6)])
        canvas.line(start, end, max(1.0, length * 0.06), dark)
        canvas.polygon(placed(list(self.detail)), self.detail_colour)


def _regular(corners: int) -> tuple[Point, ...]:
    turns = [2 * math.pi * corner / corners for corner in range(corners)]
    return tuple((math.cos(turn), math.sin(turn)) for turn in turns)


def _box(left: float, right: float, half: float = 1.0) -> tuple[Point, ...]:
    return (left, -half), (right, -half), (right, half), (left, half)


_BOTTLE = ((-1, -1), (0.3, -1), (0.6, -0.35), (1, -0.35), (1, 0.35), (0.6, 0.35), (0.3, 1), (-1, 1))
_BAG = ((-1, -0.5), (-0.3, -1), (0.4, -0.8), (1, -0.2), (0.7, 0.6), (0.1, 1), (-0.7, 0.8))
_WHITE, _SILVER, _BROWN, _BLACK, _RED = (
    (235, 235, 235),
    (190, 190, 185),
    (60, 100, 150),
    (40, 40, 40),
    (60, 60, 200),
)

LITTER: dict[str, Litter] = {
    "bottle": Litter(
        _BOTTLE, 0.35, 0.06, ((200, 180, 120), (190, 200, 200)), _box(0.85, 1.05, 0.4), (200, 60, 30)
    ),
    "glass": Litter(_BOTTLE, 0.38, 0.0, ((40, 110, 40), (30, 70, 110)), _box(-0.5, 0.1, 0.9), (200, 225, 225)),
    "can": Litter(_box(-1, 1), 0.55, 0.08, ((40, 40, 200), (60, 160, 60), _SILVER), _box(0.8, 1.0), _SILVER),
    "cup": Litter(
        ((-1, -0.7), (1, -1), (1, 1), (-1, 0.7)), 0.65, 0.06, (_WHITE, (120, 160, 200)), _box(-0.2, 0.3, 0.85), _BROWN
    ),
    "carton": Litter(_box(-1, 1), 0.7, 0.04, (_BROWN, (110, 150, 190)), _box(-0.1, 0.1), (150, 190, 220)),
    "bag": Litter(_BAG, 0.9, 0.12, (_WHITE, (200, 150, 60), _RED), ((-0.3, -0.3), (0.2, -0.2), (0, 0.2)), _SILVER),
    "paper": Litter(_regular(8), 0.95, 0.1, (_WHITE, (210, 225, 230)), ((-0.3, 0), (0.3, -0.1), (0.1, 0.1)), _SILVER),
    "wrapper": Litter(
        _box(-1, 1), 0.4, 0.15, ((30, 200, 230), (160, 60, 170), (40, 120, 230)), _box(-0.9, -0.7), _SILVER
    ),
    "cigarette": Litter(_box(-1, 1), 0.16, 0.02, (_WHITE,), _box(-1, -0.4), (60, 140, 220), (0.08, 0.16)),
    "lid": Litter(_regular(12), 1.0, 0.0, ((40, 40, 220), (220, 120, 40), _WHITE), _box(-0.2, 0.2, 0.2), _BLACK),
}  # fmt: skip
