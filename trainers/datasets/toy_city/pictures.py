"""Draws scenes of the toy city, and measures the boxes of road users from the pixels that they cover."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.datasets.toy_city.canvas import Canvas
from trainers.datasets.toy_city.road_users import KINDS
from trainers.datasets.toy_city.scenes import EDGE, RoadUser, Scene, ToyCity, plan
from trainers.datasets.toy_city.street import draw_foreground, draw_street

Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax in pixels


@dataclass(frozen=True)
class VisibleRoadUser:
    """A road user in an image.

    user: its index in Scene.users.
    box: [ymin, xmin, ymax, xmax] in pixels, of everything inside the image, including occluded parts.
    hidden: occluded share of its pixels, 0 to 1.
    """

    user: int
    box: Box
    hidden: float


def draw(scene: Scene, time: float = 0.0) -> tuple[NDArray[np.uint8], list[VisibleRoadUser]]:
    """The image of `scene` after `time` seconds, uint8 [height, width, 3] BGR, and the road users in it."""
    return draw_with_owners(scene, time)[:2]


def draw_with_owners(
    scene: Scene, time: float = 0.0
) -> tuple[NDArray[np.uint8], list[VisibleRoadUser], NDArray[np.int16]]:
    """As `draw`, and int16 [height, width]: 1 + the index in Scene.users of the one that a pixel shows, 0 for none."""
    canvas = Canvas(scene.width, scene.height)
    draw_street(canvas, scene)
    measured: list[tuple[int, int, Box]] = []
    for index, user in enumerate(scene.users):
        canvas.drawing = index + 1
        _draw_user(canvas, scene, user, time)
        rows = np.flatnonzero((canvas.owner == canvas.drawing).any(axis=1))
        columns = np.flatnonzero((canvas.owner == canvas.drawing).any(axis=0))
        if rows.size:
            box = (float(rows[0]), float(columns[0]), float(rows[-1] + 1), float(columns[-1] + 1))
            measured.append((index, int(np.count_nonzero(canvas.owner == canvas.drawing)), box))
    canvas.drawing = 0
    draw_foreground(canvas, scene)
    left = np.bincount(canvas.owner.ravel(), minlength=len(scene.users) + 1)
    seen = [VisibleRoadUser(index, box, 1 - float(left[index + 1]) / whole) for index, whole, box in measured]
    return _light(canvas.pixels, scene, time), seen, canvas.owner


def position(user: RoadUser, width: int, time: float) -> tuple[float, float]:
    """x of its foot in pixels, and its heading: right (1) or left (-1). It turns round near the image edges."""
    first, last = width * EDGE, width * (1 - EDGE)
    heading = 1.0 if user.velocity >= 0 else -1.0
    x = user.foot[0] + user.velocity * time
    while not first <= x <= last:
        edge = first if x < first else last
        x, heading = 2 * edge - x, -heading
    return x, heading


def _draw_user(canvas: Canvas, scene: Scene, user: RoadUser, time: float) -> None:
    x, heading = position(user, scene.width, time)
    y = user.foot[1]
    shadow = Canvas(0, 0)  # on a copy of `owner`, since the shadow belongs to the street
    shadow.pixels, shadow.owner = canvas.pixels, canvas.owner.copy()
    reach = user.height * KINDS[user.kind].aspect * 0.42
    ground = tuple(
        int(v * 0.6)
        for v in canvas.pixels[min(round(y), scene.height - 1), min(max(round(x), 0), scene.width - 1)]
    )
    shadow.ellipse((x, y), (reach, user.height * 0.035), (ground[0], ground[1], ground[2]))
    look = np.random.default_rng(user.look)
    phase = time * KINDS[user.kind].speed
    if heading >= 0:
        KINDS[user.kind].draw(canvas, (x, y), user.height, phase, look)
        return
    mirrored = Canvas(0, 0)
    mirrored.drawing = canvas.drawing
    mirrored.pixels = np.ascontiguousarray(canvas.pixels[:, ::-1])
    mirrored.owner = np.ascontiguousarray(canvas.owner[:, ::-1])
    KINDS[user.kind].draw(mirrored, (scene.width - 1 - x, y), user.height, phase, look)
    canvas.pixels[:] = mirrored.pixels[:, ::-1]
    canvas.owner[:] = mirrored.owner[:, ::-1]


def _light(pixels: NDArray[np.uint8], scene: Scene, time: float) -> NDArray[np.uint8]:
    if scene.blur > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), scene.blur).astype(np.uint8, copy=False)
    grain = np.random.default_rng([scene.street, round(time * 1000)] if time else scene.street)
    gain = (scene.light * (1 + 0.12 * scene.warmth * np.array([-1, 0, 1]))).astype(np.float32)
    lit = pixels * gain + scene.noise * grain.standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(lit, 0, 255).astype(np.uint8)


def picture(city: ToyCity, part: str, number: int) -> tuple[NDArray[np.uint8], list[tuple[str, Box]]]:
    """Scene `number` of `part` as an image, uint8 [height, width, 3] BGR, and (class, box) of each road user."""
    pixels, seen, _, kinds = _kept(city, part, number)
    return pixels, [(kinds[s.user], s.box) for s in seen]


def picture_with_mask(city: ToyCity, part: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same image, and uint8 [height, width]: 1 + the index in city.classes of what it shows, 0 for street."""
    pixels, _, owners, kinds = _kept(city, part, number)
    table = np.array([0, *(1 + city.classes.index(kind) for kind in kinds)], np.uint8)
    return pixels, table[owners]


def _kept(
    city: ToyCity, part: str, number: int
) -> tuple[NDArray[np.uint8], list[VisibleRoadUser], NDArray[np.int16], list[str]]:
    """The scene as drawn, and the classes of its users.

    A road user that is occluded more than the city allows is removed and the scene is drawn again: if it stayed
    without a label, detecting it would count as a false positive.
    """
    scene = plan(city, part, number)
    while True:
        pixels, seen, owners = draw_with_owners(scene)
        worst = max(seen, key=lambda s: s.hidden, default=None)
        if worst is None or worst.hidden <= city.hidden:
            return pixels, seen, owners, [user.kind for user in scene.users]
        scene = replace(scene, users=tuple(u for i, u in enumerate(scene.users) if i != worst.user))
