"""Metrics: what one evaluation measured, by name, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]
LOSS = "validation_loss/"  # prefix of a loss's name among an evaluation's flat values
TOTAL_LOSS = f"{LOSS}total"


@dataclass(frozen=True)
class Metric:
    """A number that a task measures and that a search may be judged by.

    name: as in Metrics.values, or `validation_loss/<part>`.
    direction: whether larger or smaller is better.
    chance: smaller values of a metric to maximize say nothing about a trial and count as 0; 0 where every value counts.
    resolution: values that round to the same multiple of it are equal; 0 compares exactly.
    bounded: whether it lies in 0..1.
    """

    name: str
    direction: Direction = "maximize"
    chance: float = 0.0
    resolution: float = 0.0
    bounded: bool = True


@dataclass(frozen=True)
class Metrics:
    """One evaluation.

    step: gradient steps taken before it.
    values: the task's metrics by name (Task.metrics); -1 where the validation images have nothing to measure it on.
    losses: validation loss by part, `total` among them, means over images.
    images: how many images were evaluated.
    seconds: wall time it took.
    results: truth and prediction of each image, in the dataset's order and in the task's own type; empty where only a
        part of the images was measured, or the task keeps none.
    """

    step: int
    values: Mapping[str, float]
    losses: Mapping[str, float]
    images: int
    seconds: float
    results: Sequence[Any] = field(default=(), repr=False, compare=False)

    def flat(self) -> dict[str, float]:
        """Values and losses in one mapping; the name of a loss begins with `validation_loss/`."""
        return {**self.values, **{f"{LOSS}{part}": value for part, value in self.losses.items()}}
