"""Plans the scenes of a toy city: street, light and road users, from the city's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainers.datasets.toy_city.litter import LITTER
from trainers.datasets.toy_city.road_users import KINDS

# Part of a scene's seed (city's seed, part, number), so that no two parts share a scene.
PARTS = {"train": 0, "validation": 1}


LITTER_WORD = "litter"
EDGE = 0.04  # of the image width, on both sides: road users stay between these margins
_RANGES = (
    ("widths", 64, 4096), ("heights", 64, 4096), ("users", 0, 200), ("nearness", 0.05, 4), ("noise", 0, 100),
)  # fmt: skip


class ToyCity(BaseModel):
    """Settings of a toy city. Each scene draws its own values from the ranges.

    classes: some of vehicle, pedestrian, cyclist and LITTER, in the order of their label ids; "litter" stands for all
        ten of that.
    shares: how often a road user is of each class, in their order, relative to each other; none for equally often.
    train_images, validation_images: number of scenes in each part.
    widths, heights: range of image sizes, in pixels.
    users: range of the number of road users; `hidden` may reduce it.
    nearness: range of the road users' sizes, as fractions of the nearest possible on the street; what is nearer than
        that is seen from above, anywhere in the image.
    overlap: largest share of a road user's box that another box may cover.
    hidden: largest share of a road user that may be occluded; those occluded more are removed.
    posts: share of the scenes with a lamp post in the foreground.
    night: share of the scenes at night.
    noise: range of the noise's standard deviation, in grey levels.
    blurs: standard deviations of the blur, in pixels; each scene has one of them.
    seed: random seed; a different seed gives a different city.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] = ("vehicle", "pedestrian", "cyclist")
    shares: tuple[float, ...] = ()
    train_images: int = Field(default=240, ge=1)
    validation_images: int = Field(default=60, ge=1)
    widths: tuple[int, int] = (224, 256)
    heights: tuple[int, int] = (208, 240)
    users: tuple[int, int] = (3, 6)
    nearness: tuple[float, float] = (0.4, 0.8)
    overlap: float = Field(default=0.1, ge=0, le=1)
    hidden: float = Field(default=0.2, ge=0, lt=1)
    posts: float = Field(default=0.2, ge=0, le=1)
    night: float = Field(default=0.2, ge=0, le=1)
    noise: tuple[float, float] = (1.0, 10.0)
    blurs: tuple[float, ...] = Field(default=(0.0, 0.5, 0.9), min_length=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("classes", mode="before")
    @classmethod
    def _litter_is_ten_classes(cls, classes: Any) -> Any:
        if not isinstance(classes, list | tuple) or LITTER_WORD not in classes:
            return classes
        return tuple(each for name in classes for each in (LITTER if name == LITTER_WORD else (name,)))

    @field_validator("classes")
    @classmethod
    def _classes_can_be_drawn(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(KINDS):
            raise ValueError(f"choose from {', '.join(KINDS)}, each once, or litter for all ten of that")
        return classes

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> ToyCity:
        for name, least, most in _RANGES:
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name}: expected two numbers from {least} to {most}, the smaller first")
        if self.shares and (
            len(self.shares) != len(self.classes) or min(self.shares) < 0 or not 0 < sum(self.shares) < np.inf
        ):
            raise ValueError(
                f"shares: expected a number for each of the {len(self.classes)} classes, such as 5+5+1"
            )
        if not all(0 <= blur <= 20 for blur in self.blurs):
            raise ValueError("blurs: expected numbers of pixels from 0 to 20")
        return self

    def images(self, part: str) -> int:
        """Number of scenes in `part`, "train" or "validation"."""
        return {"train": self.train_images, "validation": self.validation_images}[part]


@dataclass(frozen=True)
class RoadUser:
    """A road user in a scene.

    kind: its class, a key of KINDS.
    foot: (x, y) in pixels, the middle of its ground line at time 0.
    height: pixels.
    velocity: pixels per second along x; negative to the left. It faces its direction of travel.
    look: seed of its colours and shape.
    """

    kind: str
    foot: tuple[float, float]
    height: float
    velocity: float
    look: int


@dataclass(frozen=True)
class Scene:
    """A planned scene.

    width, height: image size in pixels. horizon: image row, in pixels.
    light: brightness factor, about 1 by day and 0.35 to 0.5 at night. warmth: from -1, blue, to 1, orange.
    noise: standard deviation in grey levels. blur: standard deviation in pixels.
    street: seed of houses, trees and road.
    posts: probability of a lamp post in the foreground.
    users: road users, farthest first.
    """

    width: int
    height: int
    horizon: float
    light: float
    warmth: float
    noise: float
    blur: float
    street: int
    posts: float
    users: tuple[RoadUser, ...]


def _class_of(draw: np.random.Generator, city: ToyCity) -> int:
    if not city.shares:
        return int(draw.integers(len(city.classes)))
    return int(draw.choice(len(city.classes), p=np.array(city.shares) / sum(city.shares)))


def plan(city: ToyCity, part: str, number: int) -> Scene:
    """Plan scene `number` of `part`, deterministically on every machine."""
    draw = np.random.default_rng([city.seed, PARTS[part], number])
    width = int(draw.integers(city.widths[0], city.widths[1] + 1))
    height = int(draw.integers(city.heights[0], city.heights[1] + 1))
    horizon = height * draw.uniform(0.25, 0.42)
    users: list[RoadUser] = []
    for _ in range(int(draw.integers(city.users[0], city.users[1] + 1))):
        kind = city.classes[_class_of(draw, city)]
        users.append(_place(draw, city, kind, (width, height), horizon, users))
    night = draw.random() < city.night
    return Scene(
        width=width,
        height=height,
        horizon=horizon,
        light=draw.uniform(0.35, 0.5) if night else draw.uniform(0.7, 1.15),
        warmth=draw.uniform(-1, 1),
        noise=draw.uniform(*city.noise),
        blur=float(draw.choice(city.blurs)),
        street=int(draw.integers(2**31)),
        posts=city.posts,
        users=tuple(sorted(users, key=lambda user: user.foot[1])),
    )


def _place(
    draw: np.random.Generator,
    city: ToyCity,
    kind: str,
    size: tuple[int, int],
    horizon: float,
    others: list[RoadUser],
) -> RoadUser:
    """Place a road user where it overlaps the others little; anywhere, if 12 attempts fail."""
    width, height = size
    traits = KINDS[kind]
    for _ in range(12):
        near = draw.uniform(*city.nearness)
        tall = height * 0.64 * near * draw.uniform(*traits.heights)
        if near > 1:
            ground = draw.uniform(min(tall, height - 1.0), height - 1.0)
        else:
            above = horizon + (height - horizon) * near
            ground = min(above + draw.uniform(-0.03, 0.03) * height, height - 1.0)
        foot = (draw.uniform(EDGE, 1 - EDGE) * width, ground)
        velocity = float(draw.choice([-1, 1])) * traits.speed * tall * draw.uniform(0.6, 1.2)
        user = RoadUser(kind, foot, tall, velocity, int(draw.integers(2**31)))
        if all(_overlap(user, other) <= city.overlap for other in others):
            break
    return user


def _overlap(a: RoadUser, b: RoadUser) -> float:
    """Intersection of two road users' boxes, as a share of the smaller box."""
    half_a, half_b = (KINDS[user.kind].aspect * user.height / 2 for user in (a, b))
    across = min(a.foot[0] + half_a, b.foot[0] + half_b) - max(a.foot[0] - half_a, b.foot[0] - half_b)
    upright = min(a.foot[1], b.foot[1]) - max(a.foot[1] - a.height, b.foot[1] - b.height)
    smaller = min(2 * half_a * a.height, 2 * half_b * b.height)
    return max(0.0, across) * max(0.0, upright) / smaller
