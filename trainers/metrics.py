"""Metrics: the values that one evaluation measured, by name, for any task; Metric: the properties of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]
LOSS = "validation_loss/"  # prefix of a loss's name in Metrics.flat
TOTAL_LOSS = f"{LOSS}total"


@dataclass(frozen=True)
class Metric:
    """A metric of a task, and how its values compare. A search can optimise it (`--objective`).

        Metric("mAP", chance=0.005, resolution=0.001)  # 0.0041 equals 0.0002; 0.1231 equals 0.1234
        Metric("mae", "minimize", bounded=False)

    name: a key of Metrics.values, or `validation_loss/<part>`.
    direction: whether larger ("maximize") or smaller values are better.
    chance: smaller values of a metric to maximize are indistinguishable from an untrained model's, and compare as 0;
        0 to disable.
    resolution: values that round to the same multiple of it compare as equal; 0 to compare exactly.
    bounded: whether values lie in [0, 1]; -1 then means "not measured".
    """

    name: str
    direction: Direction = "maximize"
    chance: float = 0.0
    resolution: float = 0.0
    bounded: bool = True


@dataclass(frozen=True)
class Metrics:
    """The result of one evaluation (Trainer.evaluate).

        Metrics(step=100, values={"mAP": 0.31, "AP/car": 0.31, "AP/cyclist": -1.0},
                losses={"total": 0.8, "classification": 0.5, "localization": 0.3}, images=60, seconds=2.4)

    step: gradient steps taken before the evaluation.
    values: the task's metrics by name (Task.metrics, without the losses); -1 for a bounded metric that the validation
        images cannot measure, such as the AP of a class that has no box in them.
    losses: mean validation loss of each part, by name; "total" is required.
    images: number of images evaluated.
    seconds: wall time.
    results: ground truth and prediction of every validation image, in dataset order, in a type that the task chooses;
        empty if only some of the images were evaluated, or if the task keeps no per-image results.
    """

    step: int
    values: Mapping[str, float]
    losses: Mapping[str, float]
    images: int
    seconds: float
    results: Sequence[Any] = field(default=(), repr=False, compare=False)

    def flat(self) -> dict[str, float]:
        """Values and losses in one mapping; a loss is called `validation_loss/<part>`."""
        return {**self.values, **{f"{LOSS}{part}": value for part, value in self.losses.items()}}
