"""Trainer: the interface through which a search trains, evaluates, checkpoints and exports a model of any task."""

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
    """The training losses of one call of Trainer.train: S gradient steps, one entry per step.

    steps: S step numbers, counted from 1 at the start of the trial.
    losses: S training losses of each part, by name; "total" is required.
    learning_rates: S learning rates.
    seconds: wall time of the call. compute_seconds: time in gradient steps alone, without waiting for input.
    images_per_second: mean throughput of the call.
    """

    steps: Sequence[int]
    losses: Mapping[str, Sequence[float]]
    learning_rates: Sequence[float]
    seconds: float
    compute_seconds: float
    images_per_second: float


class Trainer(Protocol):
    """Trains one trial at a time on the dataset that its factory was given (Model.trainer).

    A worker keeps the trainer alive and calls `start` again for its next trial. A trainer may reuse what it has built
    (graphs, decoded images), but a reused trainer must produce the same losses as a fresh one for the same recipe.
    The order of calls in a trial, with rungs at 100 and 200 steps:

        trainer.start(recipe)
        curve = trainer.train(until_step=100)
        metrics = trainer.evaluate()
        saved = trainer.save(trial / "checkpoint")  # runs in the background
        curve = trainer.train(until_step=200)
        saved.result()
        trainer.export(trial / "export")

    Each method may also raise TrialFailed, which ends this trial as failed and leaves the search running.
    """

    @property
    def step(self) -> int:
        """Gradient steps of the current trial so far, including those before the checkpoint that it resumed from."""

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        """Begin a trial at step 0 with the recipe's initial weights, or resume it from `checkpoint`.

        checkpoint: a directory that `save` wrote for a trial of this recipe. A resumed trial must continue exactly as
        if it had not been interrupted: same losses, same order of images, same random numbers.
        of: the recipe for which the checkpoint was saved, if it was another one, of the same model, graph, kind of
        optimizer and averaging. The trial goes on from its step, with its variables and the state of its optimizer, and
        with all settings of its own recipe. Only given by `--scheduler pbt`, and by `tuning.postprocess`, which does not
        train, and may change graph fields too that no variable depends on.
        """

    def train(self, until_step: int) -> TrainingCurve:
        """Train until `step` equals `until_step`, at most recipe.steps. Raises Diverged for a NaN or infinite loss."""

    def evaluate(self, images: int | None = None) -> Metrics:
        """Evaluate the model on the validation images, with averaged weights if the recipe has `averaging`.

        images: how many images to use, evenly spaced and the same in every call; None for all. Metrics.results must
        be empty unless all images were used. Evaluation must not affect later training.
        """

    def save(self, directory: Path) -> Future[None]:
        """Write a checkpoint of the present state (variables, optimizer, step, position in the data) to `directory`.

        Atomic: `directory` appears, or is replaced, only when the checkpoint is complete. May return before it is
        written; later training does not change what is written. The future's `result()` waits, and raises OSError.
        """

    def export(self, directory: Path) -> None:
        """Export the current model for inference to `directory`; atomic. Task.check_export must accept the result."""

    def files(self) -> Mapping[str, str]:
        """Further text files to keep in the trial's folder, file name -> content, such as a framework's own config."""
