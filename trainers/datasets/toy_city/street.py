"""Draws the streets of the toy city: sky, houses, trees and road behind the road users, lamp posts in front."""

from __future__ import annotations

import numpy as np

from trainers.datasets.toy_city.canvas import Canvas, Colour
from trainers.datasets.toy_city.scenes import Scene


def _grey(draw: np.random.Generator, darkest: int, brightest: int, tint: int) -> Colour:
    level = int(draw.integers(darkest, brightest))
    blue, green, red = (int(np.clip(level + t, 0, 255)) for t in draw.integers(-tint, tint + 1, 3))
    return blue, green, red


def draw_street(canvas: Canvas, scene: Scene) -> None:
    """Draw everything behind the road users."""
    draw = np.random.default_rng(scene.street)
    _sky(canvas, scene, draw)
    _houses(canvas, scene, draw)
    _ground(canvas, scene, draw)
    for _ in range(int(draw.integers(0, 4))):
        _tree(canvas, scene, draw)


def draw_foreground(canvas: Canvas, scene: Scene) -> None:
    """Draw a lamp post in some scenes, which may occlude road users."""
    draw = np.random.default_rng([scene.street, 1])
    if draw.random() < scene.posts:
        x, width = draw.uniform(0, scene.width), scene.width * draw.uniform(0.008, 0.02)
        canvas.rectangle(x - width / 2, 0, x + width / 2, scene.height, _grey(draw, 40, 130, 10))


def _sky(canvas: Canvas, scene: Scene, draw: np.random.Generator) -> None:
    top = np.add(_grey(draw, 150, 235, 5), (20.0, 0.0, -20.0))
    fade = np.linspace(0, 1, scene.height, dtype=np.float32)[:, None, None]
    canvas.pixels[:] = np.clip(top * (1 - fade) + fade * draw.uniform(190, 240), 0, 255).astype(np.uint8)
    if draw.random() < 0.5:
        for _ in range(int(draw.integers(1, 5))):
            centre = (draw.uniform(0, scene.width), draw.uniform(0, scene.horizon * 0.6))
            canvas.ellipse(centre, (draw.uniform(10, 60), draw.uniform(4, 12)), (245, 245, 245))


def _houses(canvas: Canvas, scene: Scene, draw: np.random.Generator) -> None:
    x, ground = -draw.uniform(0, 30), scene.horizon + scene.height * 0.06
    while x < scene.width:
        wide = scene.width * draw.uniform(0.1, 0.35)
        if draw.random() < 0.85:
            top = scene.horizon * draw.uniform(-0.2, 0.8)
            wall = _grey(draw, 70, 200, 35)
            canvas.rectangle(x, top, x + wide, ground, wall)
            _windows(canvas, (x, top, x + wide, ground), draw)
        else:
            canvas.rectangle(x, scene.horizon * 0.85, x + wide, ground, (60, int(draw.integers(90, 150)), 70))
        x += wide


def _windows(canvas: Canvas, wall: tuple[float, float, float, float], draw: np.random.Generator) -> None:
    left, top, right, bottom = wall
    columns, step = int(draw.integers(2, 6)), draw.uniform(14, 26)
    pane = _grey(draw, 40, 230, 25)
    pitch = (right - left) / columns
    y = top + step * 0.4
    while y + step * 0.6 < bottom:
        for column in range(columns):
            x = left + pitch * (column + 0.25)
            canvas.rectangle(x, y, x + pitch * 0.5, y + step * 0.55, pane)
        y += step


def _ground(canvas: Canvas, scene: Scene, draw: np.random.Generator) -> None:
    kerb = scene.horizon + scene.height * draw.uniform(0.05, 0.12)
    canvas.rectangle(
        0, scene.horizon + scene.height * 0.05, scene.width, scene.height, _grey(draw, 120, 190, 12)
    )
    road = _grey(draw, 60, 125, 8)
    canvas.rectangle(0, kerb, scene.width, scene.height, road)
    along = draw.random() < 0.5
    paint = _grey(draw, 180, 245, 5)
    if along:  # the camera looks along the road: lane markings meet at the horizon
        vanish = (scene.width * draw.uniform(0.2, 0.8), kerb)
        for bottom in np.linspace(-0.3, 1.3, int(draw.integers(3, 6))):
            x = scene.width * bottom
            canvas.polygon([vanish, (x - 3, scene.height), (x + 3, scene.height)], paint)
    else:  # the camera looks across the road: dashed markings
        for depth in (0.35, 0.75):
            y, long = kerb + (scene.height - kerb) * depth, scene.width * draw.uniform(0.06, 0.14)
            for start in np.arange(-draw.uniform(0, 2 * long), scene.width, 2 * long):
                canvas.rectangle(start, y, start + long, y + 1 + 3 * depth, paint)
    if draw.random() < 0.3:  # patches of asphalt in another shade
        for _ in range(int(draw.integers(1, 4))):
            centre = (draw.uniform(0, scene.width), draw.uniform(kerb, scene.height))
            canvas.ellipse(centre, (draw.uniform(10, 60), draw.uniform(3, 10)), _grey(draw, 50, 110, 5))


def _tree(canvas: Canvas, scene: Scene, draw: np.random.Generator) -> None:
    x, foot = draw.uniform(0, scene.width), scene.horizon + scene.height * draw.uniform(0.05, 0.14)
    tall = scene.height * draw.uniform(0.2, 0.45)
    canvas.rectangle(x - tall * 0.04, foot - tall * 0.6, x + tall * 0.04, foot, (40, 60, 85))
    leaf = (int(draw.integers(30, 70)), int(draw.integers(80, 150)), int(draw.integers(40, 110)))
    for _ in range(5):
        centre = (x + draw.normal(0, tall * 0.12), foot - tall * draw.uniform(0.5, 0.95))
        canvas.ellipse(centre, (tall * draw.uniform(0.12, 0.22), tall * draw.uniform(0.1, 0.2)), leaf)
