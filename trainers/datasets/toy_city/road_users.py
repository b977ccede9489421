"""Draws the vehicles, pedestrians and cyclists of the toy city; the table of its classes, with litter.

The look of a road user is drawn from its own seed, so that it is the same in every frame of a video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from trainers.datasets.toy_city.canvas import Canvas, Colour, Point
from trainers.datasets.toy_city.litter import LITTER


@dataclass(frozen=True)
class Kind:
    """A class of road users.

    heights: smallest and largest height, as a fraction of the nearest possible pedestrian's.
    aspect: largest width / height, for placing it.
    speed: in body heights per second.
    draw: draws one facing right; arguments (canvas, foot, height, phase, look) with `foot` (x, y) in pixels, the
        middle of its ground line, `height` in pixels, `phase` of its gait in cycles, `look` its random generator.
    """

    heights: tuple[float, float]
    aspect: float
    speed: float
    draw: Callable[[Canvas, Point, float, float, np.random.Generator], None]


def _paint(look: np.random.Generator, darkest: int = 30, brightest: int = 235) -> Colour:
    blue, green, red = look.integers(darkest, brightest, 3).tolist()
    return blue, green, red


def _darker(colour: Colour, factor: float) -> Colour:
    return round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor)


_SKINS: tuple[Colour, ...] = ((140, 180, 230), (110, 150, 200), (70, 105, 150), (45, 70, 105))
_PAINTS: tuple[Colour, ...] = (
    (225, 225, 225), (60, 60, 60), (40, 40, 190), (170, 90, 40), (150, 150, 150), (60, 150, 60),
    (40, 190, 220), (30, 100, 220), (120, 60, 110), (100, 110, 40),
)  # fmt: skip
_TYRE: Colour = (25, 25, 25)


def _vehicle(canvas: Canvas, foot: Point, height: float, phase: float, look: np.random.Generator) -> None:
    paint = _PAINTS[look.integers(len(_PAINTS))]
    if look.random() < 0.3:
        _vehicle_from_behind(canvas, foot, height, paint, look)
    else:
        _vehicle_from_the_side(canvas, foot, height, paint, look)


def _vehicle_from_the_side(
    canvas: Canvas, foot: Point, height: float, paint: Colour, look: np.random.Generator
) -> None:
    tall = look.random() < 0.3  # a van or a bus
    length = height * look.uniform(1.5, 1.9) if tall else height * look.uniform(1.9, 2.4)
    x, y = foot
    back, front, wheel = x - length / 2, x + length / 2, height * look.uniform(0.17, 0.2)
    glass = (int(look.integers(90, 170)), int(look.integers(80, 140)), int(look.integers(60, 110)))
    sill, waist, roof = y - wheel * 0.7, y - height * 0.55, y - height
    if tall:
        nose = length * look.uniform(0.02, 0.14)
        canvas.polygon(
            [(back, sill), (back, roof), (front - nose, roof), (front, waist), (front, sill)], paint
        )
        panes = int(look.integers(2, 5))
        for pane in range(panes):
            left = back + length * (0.06 + 0.84 * pane / panes)
            right = left + length * 0.84 / panes * 0.85
            canvas.rectangle(left, roof + height * 0.12, right, waist, glass)
    else:
        rise, fall = length * look.uniform(0.1, 0.22), length * look.uniform(0.62, 0.72)
        cabin = [
            (back + rise * 0.5, waist),
            (back + rise, roof),
            (back + fall, roof),
            (back + fall * 1.22, waist),
        ]
        canvas.polygon(cabin, _darker(paint, 0.9))
        canvas.polygon(
            [
                (back, sill),
                (back, waist),
                (back + fall * 1.2, waist),
                (front, waist + height * 0.1),
                (front, sill),
            ],
            paint,
        )
        post, inset = back + (rise + fall) / 2, height * 0.06
        for left, right in ((back + rise, post - inset / 2), (post + inset / 2, back + fall)):
            canvas.polygon(
                [
                    (left - (inset if left == back + rise else 0), waist - inset / 2),
                    (left + inset, roof + inset),
                    (right - inset / 2, roof + inset),
                    (right + (inset * 2 if right == back + fall else 0), waist - inset / 2),
                ],
                glass,
            )
    canvas.rectangle(back, sill - height * 0.06, front, sill, _darker(paint, 0.6))
    canvas.rectangle(
        front - length * 0.04, waist + height * 0.14, front, waist + height * 0.24, (190, 240, 250)
    )
    canvas.rectangle(back, waist + height * 0.08, back + length * 0.03, waist + height * 0.2, (40, 40, 200))
    for centre in (back + length * 0.2, front - length * 0.2):
        canvas.ellipse((centre, y - wheel), (wheel, wheel), _TYRE)
        canvas.ellipse((centre, y - wheel), (wheel * 0.5, wheel * 0.5), (150, 150, 150))


def _vehicle_from_behind(
    canvas: Canvas, foot: Point, height: float, paint: Colour, look: np.random.Generator
) -> None:
    x, y = foot
    half = height * look.uniform(0.55, 0.68)
    roof, waist, sill = y - height, y - height * 0.55, y - height * 0.14
    top = half * look.uniform(0.68, 0.9)
    for side in (-1, 1):
        canvas.rectangle(
            x + side * half * 0.92 - half * 0.14, sill - 1, x + side * half * 0.92 + half * 0.08, y, _TYRE
        )
    canvas.polygon(
        [(x - half, waist), (x - top, roof), (x + top, roof), (x + half, waist)], _darker(paint, 0.85)
    )
    canvas.polygon(
        [
            (x - half * 0.82, waist - height * 0.04),
            (x - top * 0.86, roof + height * 0.07),
            (x + top * 0.86, roof + height * 0.07),
            (x + half * 0.82, waist - height * 0.04),
        ],
        (120, 100, 80),
    )
    canvas.rectangle(x - half, waist, x + half, sill, paint)
    canvas.rectangle(x - half, sill - height * 0.08, x + half, sill, _darker(paint, 0.5))
    lamp: Colour = (40, 40, 215) if look.random() < 0.5 else (200, 245, 255)
    for side in (-1, 1):
        canvas.rectangle(
            x + side * half * 0.82 - half * 0.14, waist + height * 0.06, x + side * half * 0.82 + half * 0.14,
            waist + height * 0.18, lamp,
        )  # fmt: skip
    canvas.rectangle(
        x - half * 0.22, waist + height * 0.17, x + half * 0.22, waist + height * 0.26, (235, 235, 235)
    )


def _pedestrian(canvas: Canvas, foot: Point, height: float, phase: float, look: np.random.Generator) -> None:
    skin = _SKINS[look.integers(len(_SKINS))]
    shirt, trousers, hair = _paint(look), _paint(look, 20, 150), _paint(look, 10, 90)
    width, stance = height * look.uniform(0.13, 0.17), look.random()
    x, y = foot
    swing = math.sin(2 * math.pi * (phase + stance)) * height * 0.13
    hip, neck, head = y - height * 0.47, y - height * 0.82, height * 0.085
    for side, colour in ((-1, _darker(trousers, 0.75)), (1, trousers)):
        canvas.line((x, hip), (x + side * swing, y - height * 0.03), width * 0.75, colour)
        heel, sole = x + side * swing, y - height * 0.02
        canvas.line((heel, sole), (heel + width * 0.6, sole), height * 0.04, (20, 20, 30))
    canvas.line((x, neck + width * 0.6), (x + swing * 0.9, hip), width * 0.5, _darker(shirt, 0.7))
    canvas.polygon(
        [
            (x - width, neck),
            (x + width, neck),
            (x + width * 0.75, hip + width * 0.4),
            (x - width * 0.75, hip + width * 0.4),
        ],
        shirt,
    )
    canvas.line((x, neck + width * 0.6), (x - swing * 0.9, hip), width * 0.5, _darker(shirt, 0.85))
    canvas.ellipse((x, neck - head * 1.05), (head * 0.85, head * 1.1), skin)
    canvas.ellipse((x - head * 0.15, neck - head * 1.55), (head * 0.9, head * 0.6), hair)
    if look.random() < 0.25:  # a bag
        canvas.rectangle(
            x - width * 1.5, hip - height * 0.06, x - width * 0.6, hip + height * 0.08, _paint(look)
        )


def _cyclist(canvas: Canvas, foot: Point, height: float, phase: float, look: np.random.Generator) -> None:
    skin = _SKINS[look.integers(len(_SKINS))]
    frame, shirt, trousers, helmet = _paint(look), _paint(look), _paint(look, 20, 140), _paint(look, 60, 250)
    turned = look.uniform(0.72, 1.0)  # foreshortening, when it rides partly towards the camera
    start = look.random()
    x, y = foot
    wheel, stroke = height * 0.21, max(1.0, height * 0.03)
    back, front, axle = x - height * 0.29 * turned, x + height * 0.29 * turned, y - wheel
    for centre in (back, front):
        canvas.ellipse((centre, axle), (wheel * turned, wheel), (105, 105, 105))
        canvas.ring((centre, axle), wheel * turned, stroke * 1.5, _TYRE)
    crank, saddle, bar = (
        (x, axle + wheel * 0.1),
        (x - height * 0.1, y - height * 0.5),
        (x + height * 0.2 * turned, y - height * 0.52),
    )
    for a, b in (
        ((back, axle), crank),
        (crank, saddle),
        ((back, axle), saddle),
        (crank, bar),
        (saddle, bar),
        ((front, axle), bar),
    ):
        canvas.line(a, b, stroke, frame)
    hip, shoulder = (saddle[0], saddle[1] - height * 0.02), (x + height * 0.06, y - height * 0.78)
    for side, shade in ((0.5, 0.7), (0.0, 1.0)):
        turn = 2 * math.pi * (phase + start + side)
        pedal = (crank[0] + math.cos(turn) * wheel * 0.42, crank[1] + math.sin(turn) * wheel * 0.42)
        knee = ((hip[0] + pedal[0]) / 2 + height * 0.1, (hip[1] + pedal[1]) / 2 - height * 0.03)
        canvas.line(hip, knee, height * 0.075, _darker(trousers, shade))
        canvas.line(knee, pedal, height * 0.06, _darker(trousers, shade))
    canvas.line(hip, shoulder, height * 0.14, shirt)
    canvas.line(shoulder, bar, height * 0.05, _darker(shirt, 0.8))
    head = (shoulder[0] + height * 0.04, shoulder[1] - height * 0.12)
    canvas.ellipse(head, (height * 0.062, height * 0.078), skin)
    canvas.ellipse(
        (head[0] - height * 0.005, head[1] - height * 0.04), (height * 0.078, height * 0.052), helmet
    )


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "vehicle": Kind(heights=(0.62, 0.95), aspect=2.4, speed=2.0, draw=_vehicle),
        "pedestrian": Kind(heights=(0.9, 1.15), aspect=0.5, speed=0.7, draw=_pedestrian),
        "cyclist": Kind(heights=(0.95, 1.15), aspect=1.0, speed=1.6, draw=_cyclist),
        **{
            name: Kind(heights=thing.heights, aspect=1.0, speed=0.0, draw=thing.draw)
            for name, thing in LITTER.items()
        },
    }
)
