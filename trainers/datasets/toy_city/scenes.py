"""What a scene of the toy city holds before a pixel is drawn: settings, street, light, road users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainers.datasets.toy_city.road_users import KINDS

# Scenes of one part never meet those of another: a scene is seeded by (city's seed, part, number).
PARTS = {"train": 0, "validation": 1}


EDGE = 0.04  # of the width: road users stand and walk between it and its like on the right
_RANGES = (
    ("widths", 64, 4096), ("heights", 64, 4096), ("users", 0, 200), ("nearness", 0.05, 1), ("noise", 0, 100),
)  # fmt: skip


class ToyCity(BaseModel):
    """Settings of a city.

    classes: what drives and walks in it, in the order of their label ids; of vehicle, pedestrian, cyclist.
    train_images, validation_images: scenes in each part.
    widths, heights: smallest and largest size of a picture, in pixels; each scene draws its own.
    users: fewest and most road users that are put into a scene; `hidden` may take some off again.
    nearness: size of the smallest and largest road user, as fractions of the nearest possible.
    overlap: the largest share of a road user's outline that another's may cover when it is placed.
    hidden: the largest share of a road user that others may cover; who would be covered more is left out.
    posts: share of the scenes with a lamp post before the road users.
    night: share of the scenes that are dark.
    noise: least and most standard deviation of the grain, in grey levels.
    blurs: standard deviations of the blur in pixels, of which each scene has one.
    seed: another seed is another city.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...] = ("vehicle", "pedestrian", "cyclist")
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

    @field_validator("classes")
    @classmethod
    def _classes_can_be_drawn(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(KINDS):
            raise ValueError(f"choose from {', '.join(KINDS)}, each once")
        return classes

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> ToyCity:
        for name, least, most in _RANGES:
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} should be two numbers from {least} to {most}, the smaller first")
        if not all(0 <= blur <= 20 for blur in self.blurs):
            raise ValueError("blurs should be pixels from 0 to 20")
        return self

    def images(self, part: str) -> int:
        """How many scenes `part` ("train" or "validation") has."""
        return {"train": self.train_images, "validation": self.validation_images}[part]


@dataclass(frozen=True)
class RoadUser:
    """Who stands where.

    kind: a name of KINDS.
    foot: (x, y) in pixels, the middle of the line on which it touches the ground at time 0.
    height: pixels.
    velocity: pixels a second along x; negative is to the left, and it faces where it goes.
    look: seed of its colours and build.
    """

    kind: str
    foot: tuple[float, float]
    height: float
    velocity: float
    look: int


@dataclass(frozen=True)
class Scene:
    """One street at one moment.

    width, height, horizon: pixels; the horizon is a row.
    light: 1 is day, .35 night. warmth: -1 blue to 1 orange. noise: standard deviation in grey levels.
    blur: standard deviation in pixels.
    street: seed of houses, trees and road.
    posts: how likely a lamp post stands before the road users.
    users: from the farthest to the nearest.
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


def plan(city: ToyCity, part: str, number: int) -> Scene:
    """Scene `number` of `part`: the same for the same settings, on every machine."""
    draw = np.random.default_rng([city.seed, PARTS[part], number])
    width = int(draw.integers(city.widths[0], city.widths[1] + 1))
    height = int(draw.integers(city.heights[0], city.heights[1] + 1))
    horizon = height * draw.uniform(0.25, 0.42)
    users: list[RoadUser] = []
    for _ in range(int(draw.integers(city.users[0], city.users[1] + 1))):
        kind = city.classes[int(draw.integers(len(city.classes)))]
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
    """Find a spot that covers little of the others; the last spot tried when the street is full."""
    width, height = size
    traits = KINDS[kind]
    for _ in range(12):
        near = draw.uniform(*city.nearness)
        tall = height * 0.64 * near * draw.uniform(*traits.heights)
        ground = min(horizon + (height - horizon) * near + draw.uniform(-0.03, 0.03) * height, height - 1.0)
        foot = (draw.uniform(EDGE, 1 - EDGE) * width, ground)
        velocity = float(draw.choice([-1, 1])) * traits.speed * tall * draw.uniform(0.6, 1.2)
        user = RoadUser(kind, foot, tall, velocity, int(draw.integers(2**31)))
        if all(_overlap(user, other) <= city.overlap for other in others):
            break
    return user


def _overlap(a: RoadUser, b: RoadUser) -> float:
    """Overlap of two road users' outlines as a share of the smaller one."""
    half_a, half_b = (KINDS[user.kind].aspect * user.height / 2 for user in (a, b))
    across = min(a.foot[0] + half_a, b.foot[0] + half_b) - max(a.foot[0] - half_a, b.foot[0] - half_b)
    upright = min(a.foot[1], b.foot[1]) - max(a.foot[1] - a.height, b.foot[1] - b.height)
    smaller = min(2 * half_a * a.height, 2 * half_b * b.height)
    return max(0.0, across) * max(0.0, upright) / smaller
