"""Picks the images of a pool that a strategy prefers, without those that are near to one that it has picked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trainers.errors import UserError
from tuning.selection.neighbours import FRAME_GAP, Neighbours
from tuning.selection.scored import Scored
from tuning.selection.strategy import LEAST_SCORE, Candidates, Strategy


@dataclass(frozen=True)
class Picked:
    """place: of the image in the pool. score: the strategy's. skipped: images passed over just before it."""

    place: int
    score: float
    skipped: int


def class_counts(images: Iterator[Scored], classes: int) -> np.ndarray:
    """(C,) int64: how many boxes of each class a detector finds in these images."""
    counts = np.zeros(classes, np.int64)
    for image in images:
        found = image.found.above(LEAST_SCORE)
        counts += np.bincount(found.classes, minlength=classes)
    return counts


def pick(
    strategy: Strategy,
    images: Callable[[], Iterator[Scored]],
    names: list[str],
    count: int,
    classes: int,
    seed: int = 0,
    frame_gap: int = FRAME_GAP,
    fill: bool = False,
) -> list[Picked]:
    """The images to label next, the best first; fewer than `count` if the others are all near to one of them.

    images: gives the images of a pool, in the order of `names`; it is called twice. classes: how many there are.
    fill: rather than fewer, take the best of those that are near to one of them.
    Raises UserError if the pool has fewer images, or the strategy needs embeddings that the detector does not have.
    """
    if count > len(names):
        raise UserError(
            f"--count {count} is more than the {len(names)} images that can be picked; ask for fewer"
        )
    counts = class_counts(images(), classes)
    scores = np.empty(len(names), np.float64)
    looks: list[int] = []
    embeddings = np.zeros((len(names), 0), np.float32)
    for place, image in enumerate(images()):
        scores[place] = strategy.score(image, counts)
        looks.append(image.look)
        if "embeddings" in strategy.needs:
            if image.embedding is None:
                raise UserError(
                    f"--strategy {strategy.name} needs embeddings, which this export has not; export the trial again "
                    "with this version, or choose another strategy"
                )
            if not place:
                embeddings = np.empty((len(names), len(image.embedding)), np.float32)
            embeddings[place] = image.embedding
    neighbours = Neighbours(names, looks, frame_gap)
    picked: list[Picked] = []
    passed_over: list[int] = []
    skipped = 0
    for place in strategy.order(Candidates(scores, embeddings, np.random.default_rng(seed)), count):
        if neighbours.near(place) is not None:
            passed_over.append(place)
            skipped += 1
            continue
        neighbours.pick(place)
        picked.append(Picked(place, float(scores[place]), skipped))
        skipped = 0
        if len(picked) == count:
            break
    if fill:
        picked += [Picked(place, float(scores[place]), 0) for place in passed_over[: count - len(picked)]]
    return picked
