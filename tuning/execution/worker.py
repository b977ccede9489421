"""Worker: runs trials, one after another, on trainers that it keeps. Plain Python: trainable.py adapts it to Ray."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers import model as models
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.errors import TrialFailed, UserError
from trainers.files import write_text
from trainers.trainer import Trainer, TrainingCurve
from tuning.execution.environment import note_hardware
from tuning.study.step_result import StepResult
from tuning.study.trial_folder import CHECKPOINT, FILES, newest_checkpoint

# what ends a search, not a trial, and the user can mend
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True)
class Assignment:
    """A trial as the driver hands it out.

    number: in the study; recipe: plain values; folder: where its files are.
    rungs: steps at which it is saved and evaluated, rising.
    reported: step of the last rung that the driver knows of, 0 for none.
    seconds_training, seconds_overhead: what it has cost in earlier runs of the search.
    """

    number: int
    recipe: Mapping[str, Any]
    folder: Path
    rungs: Sequence[int]
    reported: int = 0
    seconds_training: float = 0.0
    seconds_overhead: float = 0.0


def make_trainer(factory: str, dataset: Dataset, options: Mapping[str, Any]) -> Trainer:
    """The Trainer that `factory` ("module:callable") makes of the dataset and the options."""
    module, _, name = factory.partition(":")
    trainer: Trainer = getattr(importlib.import_module(module), name)(dataset, **options)
    return trainer


class Trainers:
    """The trainers of one process, made when they are first needed and kept: one for each factory.

    factories: of each model that a recipe may name, "module:callable"; None takes the models' own.
    dataset, options: what each is made of.
    """

    def __init__(
        self, factories: Mapping[str, str] | None, dataset: Dataset, options: Mapping[str, Any]
    ) -> None:
        self._factories = factories or {}
        self._dataset = dataset
        self._options = options
        self._made: dict[str, Trainer] = {}

    def __call__(self, model: str) -> Trainer:
        """The trainer for the model called so."""
        factory = self._factories[model] if model in self._factories else models.get(model).trainer
        if factory not in self._made:
            self._made[factory] = make_trainer(factory, self._dataset, self._options)
        return self._made[factory]


class Worker:
    """One process's work.

    trainers: gives the trainer for a model's name; called when a trial begins.
    task: the name of the models' task.
    chunk_seconds: a message is sent about as often, and so a stop is heeded.
    early_images: validation images on which the rungs before the last are measured; None for all.
    """

    def __init__(
        self,
        trainers: Callable[[str], Trainer],
        task: str,
        chunk_seconds: float = 3.0,
        early_images: int | None = None,
    ) -> None:
        self._trainers = trainers
        self._task = task
        self._early_images = early_images
        self._chunk_seconds = chunk_seconds
        self._assigned: Assignment | None = None
        self._started: Trainer | None = None
        self._chunk = 1
        self._clock = time.monotonic()

    def begin(self, assigned: Assignment) -> None:
        """Take a trial on; `step` runs it. Costs nothing: a worker that waits for its next trial holds nobody up."""
        self._assigned = assigned
        self._started = None
        self._reported = assigned.reported
        self._training = assigned.seconds_training
        self._overhead = assigned.seconds_overhead

    def step(self) -> StepResult:
        """Run the trial for a chunk: to its next rung at most, which is saved and evaluated.

        Never raises on account of the trial: what goes wrong is in the result.
        """
        assert self._assigned is not None
        try:
            return self._advance(self._assigned)
        except TrialFailed as error:
            return self._result("failed", reason=error.reason)
        except UserError as error:
            return self._result("halt", reason=str(error), traceback=traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - it becomes the trial's verdict
            if isinstance(error, OSError) and error.errno in DISK:
                where = f"{error.filename}: " if error.filename else ""
                reason = f"{where}{error.strerror}; mend that, and the same command goes on"
                return self._result("halt", reason=reason, traceback=traceback.format_exc())
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return self._result("failed", reason=reason, traceback=traceback.format_exc())

    def keep(self) -> None:
        """Save the trial where it stands, so that an interruption loses nothing."""
        if self._started is not None and self._assigned is not None:
            newest = newest_checkpoint(self._assigned.folder)
            if self._started.step > (newest[0] if newest else 0):
                with _saving(self._started, self._assigned.folder):
                    pass

    def _advance(self, assigned: Assignment) -> StepResult:
        trainer = self._started or self._start(assigned)
        target = next((rung for rung in assigned.rungs if rung > trainer.step), assigned.rungs[-1])
        if trainer.step in assigned.rungs and trainer.step > self._reported:
            target = trainer.step  # saved there, and killed before the driver heard of it
        curve = None
        if target > trainer.step:
            curve = trainer.train(min(target, trainer.step + self._chunk))
            self._training += curve.compute_seconds
            self._choose_chunk(curve)
        if trainer.step not in assigned.rungs or trainer.step <= self._reported:
            return self._result("progress", curve)
        with _saving(trainer, assigned.folder):
            metrics = trainer.evaluate(None if trainer.step == assigned.rungs[-1] else self._early_images)
        if metrics.results:
            tasks.get(self._task).write_results(assigned.folder, trainer.step, metrics.results)
        self._reported = trainer.step
        return self._result("rung", curve, metrics=metrics.flat(), seconds_evaluation=metrics.seconds)

    def _start(self, assigned: Assignment) -> Trainer:
        trainer = self._trainers(str(assigned.recipe["model"]))  # first: its module may register the model
        assigned.folder.mkdir(parents=True, exist_ok=True)
        newest = newest_checkpoint(assigned.folder)
        recipe = recipes.build(dict(assigned.recipe), where=f"trial {assigned.number}")
        trainer.start(recipe, newest[1] if newest else None)
        note_hardware(assigned.folder)
        files = trainer.files()
        for name, text in files.items():
            write_text(assigned.folder / name, text)
        write_text(assigned.folder / FILES, json.dumps(sorted(files)))
        self._started = trainer
        return trainer

    def _choose_chunk(self, curve: TrainingCurve) -> None:
        each = max(curve.seconds / max(len(curve.steps), 1), 1e-6)
        # the first steps of a graph are slow; grow by a factor so that one estimate cannot mislead far
        self._chunk = max(1, min(round(self._chunk_seconds / each), self._chunk * 8))

    def _result(self, kind: Any, curve: TrainingCurve | None = None, **fields: Any) -> StepResult:
        assert self._assigned is not None
        now = time.monotonic()
        # all of the process's time belongs to a trial: what was not training since the last message is overhead
        elapsed, self._clock = now - self._clock, now
        self._overhead += elapsed - (curve.compute_seconds if curve else 0.0)
        curves = {} if curve is None else {f"training_loss/{part}": v for part, v in curve.losses.items()}
        if curve is not None:
            curves["learning_rate"] = curve.learning_rates
        return StepResult(
            trial=self._assigned.number,
            step=self._started.step if self._started else 0,
            kind=kind,
            images_per_second=curve.images_per_second if curve else 0.0,
            steps=curve.steps if curve else (),
            curves=curves,
            seconds_training=self._training,
            seconds_overhead=self._overhead,
            **fields,
        )


@contextlib.contextmanager
def _saving(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Save the trial beside what is done within; afterwards the checkpoint is there, and no other."""
    target = folder / f"{CHECKPOINT}{trainer.step}"
    written = trainer.save(target)
    try:
        yield
    finally:
        written.result()
    for old in folder.iterdir():
        # earlier ones, and what a killed process left half-written
        if CHECKPOINT in old.name and old.is_dir() and old != target:
            shutil.rmtree(old)
