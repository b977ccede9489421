"""Trainer: the contract between a search and whatever trains a model, of any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.metrics import Metrics
from trainers.recipe import Recipe


@dataclass(frozen=True)
class TrainingCurve:
    """What a stretch of training measured, one entry a step.

    steps: the steps' numbers, from 1: entry i was measured by the step that made `steps[i]` of them.
    losses: by part, `total` among them.
    learning_rates: of each step.
    seconds: wall time of the whole stretch; compute_seconds: of its gradient steps alone, without waiting for input.
    images_per_second: over the stretch.
    """

    steps: Sequence[int]
    losses: Mapping[str, Sequence[float]]
    learning_rates: Sequence[float]
    seconds: float
    compute_seconds: float
    images_per_second: float


class Trainer(Protocol):
    """Trains one recipe at a time on one dataset; kept alive, it reuses what it has built for the next."""

    @property
    def step(self) -> int:
        """Gradient steps taken since `start` (from a checkpoint: since the trial's start)."""

    def start(self, recipe: Recipe, checkpoint: Path | None = None) -> None:
        """Begin a trial at step 0 with fresh variables, or go on from its checkpoint as if never interrupted.

        What an earlier recipe's graph can serve is reused, unseen.
        """

    def train(self, until_step: int) -> TrainingCurve:
        """Take steps until `until_step` of them are done. Raises Diverged on a NaN or infinite loss."""

    def evaluate(self, images: int | None = None) -> Metrics:
        """Measure the model, with its averaged weights if the recipe asks for them, on the validation part.

        images: on so many of its images only, spread evenly over it and the same each time; None for all.
        """

    def save(self, directory: Path) -> Future[None]:
        """Begin to write a checkpoint (model, optimizer, step, place in the data) into `directory`, whole or not at all.

        It is of what is now, whatever the trainer does meanwhile. What is returned waits for it, and raises OSError.
        """

    def export(self, directory: Path) -> None:
        """Write what serving needs into `directory`, whole or not at all."""

    def files(self) -> Mapping[str, str]:
        """What else to keep of the trial last given to `start`: texts by file name."""
