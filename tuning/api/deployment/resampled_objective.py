"""The objective on some of the validation images, and on resamples of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainers.errors import UserError
from trainers.task import Task

RESAMPLES, SEED = 2000, 0


class ResampledObjective:
    """An objective of `task`, computed from the per-image results of an evaluation."""

    def __init__(self, task: Task, classes: Sequence[str], objective: str) -> None:
        self._task = task
        self._classes = classes
        self._objective = task.objective(objective, classes)

    @property
    def name(self) -> str:
        """The objective's name."""
        return self._objective.name

    def values(self, results: Sequence[Any], counts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each array of counts, (B, N) int, how often each of N images occurs: the objective, (B,) float.

        Raises UserError if the task cannot compute it so.
        """
        terms = self._objective.criteria[0].terms
        names = [name for _, name in terms]
        found = self._task.resampled(results, self._classes, counts, names)
        if missing := [name for name in names if name not in found]:
            raise UserError(f"{missing[0]} cannot be measured on a part of the images")
        return [
            np.sum([weight * found[name][part] for weight, name in terms], axis=0)
            for part in range(len(counts))
        ]

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is the better value."""
        return self._objective.better(one, other)

    def gain(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """By how much `after` is better, for each resample."""
        sign = 1.0 if self._objective.better(1.0, 0.0) else -1.0
        return np.asarray(sign * (after - before))


def resamples(images: int, among: np.ndarray | None = None) -> np.ndarray:
    """(RESAMPLES, images) int32: how often each image occurs in each bootstrap resample of the images `among`."""
    drawn = np.arange(images) if among is None else among
    counts = np.zeros((RESAMPLES, images), np.int32)
    rng = np.random.default_rng(SEED)
    counts[:, drawn] = rng.multinomial(len(drawn), np.full(len(drawn), 1 / len(drawn)), size=RESAMPLES)
    return counts


def interval(gains: np.ndarray) -> tuple[float, float]:
    """The 95% interval of a gain over its resamples, (B,)."""
    low, high = np.nanquantile(gains, [0.025, 0.975])
    return float(low), float(high)
