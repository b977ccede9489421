"""Bootstrap: how much an mAP, or a difference of two, owes to the validation images that there happen to be.

Images are drawn with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993); all trials are
measured on the same draws, so that differences are paired. COCO's AP takes the best precision at each recall, which
flatters a detector on few images, so that the plain percentiles of the draws miss the true value too often (a fifth
of the time on 60 images; `test_bootstrap.py`). What it flatters is estimated from halves of the images, and taken off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
HALVINGS = 50
FEWEST_IMAGES = 10  # with fewer no interval deserves the name
# the bias of a monotone envelope falls as n^(-2/3) (Groeneboom and Jongbloed, "Nonparametric Estimation under Shape
# Constraints", 2014), so that half of the images have this many times the bias of all
HALVES_BIAS = 2 ** (2 / 3)


@dataclass(frozen=True)
class Draws:
    """How often each of N images is taken: all (1, N), resampled (B, N), halved (H, N)."""

    all: np.ndarray
    resampled: np.ndarray
    halved: np.ndarray

    @property
    def images(self) -> int:
        """N."""
        return int(self.all.shape[1])


@dataclass(frozen=True)
class Sampled:
    """A number measured on all images, on resamples (B,) and on halves (H,) of them; differences are of these."""

    value: float
    resampled: np.ndarray
    halved: np.ndarray
    images: int

    def __sub__(self, other: Sampled) -> Sampled:
        """The difference, draw by draw."""
        return Sampled(
            self.value - other.value,
            self.resampled - other.resampled,
            self.halved - other.halved,
            self.images,
        )

    def interval(self) -> Interval:
        """The 95% interval of the number on endless images of the same kind."""
        flattered = (np.nanmean(self.halved) - self.value) / (HALVES_BIAS - 1)
        # a resample's spread lacks a factor of n / (n - 1), as a plain variance does
        spread = np.nanstd(self.resampled, ddof=1) * math.sqrt(self.images / (self.images - 1))
        half = NormalDist().inv_cdf((1 + LEVEL) / 2) * spread
        centre = self.value - flattered
        return Interval(self.value, float(centre - half), float(centre + half))


@dataclass(frozen=True)
class Interval:
    """A value as measured, and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether it lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def within(self, least: float, most: float) -> Interval:
        """Cut to what the value can be."""
        return Interval(self.value, min(max(self.low, least), most), min(max(self.high, least), most))


def draws(images: int, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """The draws of so many images; with a seed always the same."""
    rng = np.random.default_rng(seed)
    halved = np.zeros((2 * HALVINGS, images), np.int32)
    for row in range(0, 2 * HALVINGS, 2):
        order = rng.permutation(images)
        halved[row, order[: images // 2]] = 1
        halved[row + 1, order[images // 2 :]] = 1
    resampled = rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.int32)
    return Draws(np.ones((1, images), np.int32), resampled, halved)


def sample(measure: Callable[[np.ndarray], np.ndarray], drawn: Draws) -> Sampled:
    """What `measure`, (B, N) counts -> (B,), says on the draws; NaN where it has nothing to say."""
    value, resampled, halved = (measure(counts) for counts in (drawn.all, drawn.resampled, drawn.halved))
    return Sampled(float(value[0]), resampled, halved, drawn.images)
