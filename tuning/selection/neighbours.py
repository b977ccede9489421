"""Finds what should not be labelled twice: images that look the same, and frames that follow each other in a video."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from trainers.datasets.splits.perceptual_hash import NEAR_IDENTICAL

ALIKE = (
    10  # bits of 64, by which frames that follow each other differ at most; other pictures differ in 20 to 40
)
FRAME_GAP = 5  # frames of a recording between two that are picked, if they look alike
_LAST_NUMBER = re.compile(r"^(.*?)(\d{1,18})(\D*)$", re.DOTALL)


class Neighbours:
    """Which images are too near to one that is picked.

    names: of the images of a pool, in alphabetical order. looks: their perceptual hashes, 64 bits each.
    """

    def __init__(self, names: Sequence[str], looks: Sequence[int], frame_gap: int = FRAME_GAP) -> None:
        self._looks = np.array(looks, np.uint64)
        self._recordings, self._places = _frames(names)
        self._gap = frame_gap
        self._picked: list[int] = []

    def pick(self, image: int) -> None:
        """Note that this image is picked."""
        self._picked.append(image)

    def near(self, image: int) -> int | None:
        """An image that is picked and too near to this one; None if there is none."""
        if not self._picked:
            return None
        picked = np.array(self._picked)
        bits = np.bitwise_count(self._looks[picked] ^ self._looks[image])
        beside = (self._recordings[picked] == self._recordings[image]) & (
            np.abs(self._places[picked] - self._places[image]) <= self._gap
        )
        close = np.flatnonzero((bits <= NEAR_IDENTICAL) | (beside & (bits <= ALIKE)))
        return int(picked[close[0]]) if len(close) else None


def _frames(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The recording of each image and its place in it, by the last number of its name; its own one without a number."""
    recordings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    of = np.arange(len(names))
    places = np.zeros(len(names), np.int64)
    for index, name in enumerate(names):
        if found := _LAST_NUMBER.match(name):
            recordings[f"{found.group(1)}*{found.group(3)}"].append((int(found.group(2)), index))
    for frames in recordings.values():
        for place, (_, index) in enumerate(sorted(frames)):
            of[index], places[index] = frames[0][1], place
    return of, places
