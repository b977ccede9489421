"""Worker: runs trials one after another, reusing its trainers. Independent of Ray: trainable.py adapts it."""

from __future__ import annotations

import errno
import importlib
import json
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
from tuning.execution.saving import SAVE_SECONDS, Saving
from tuning.execution.trial_files import SharedFolder, TrialFiles
from tuning.stores.store import Away
from tuning.study.spent import WorkersCost
from tuning.study.step_result import StepResult
from tuning.study.trial_folder import FILES, newest_checkpoint

KEEP_SECONDS = 60.0  # that a worker which must end waits for its last upload; a spot machine has two minutes
# errors of a shared disk end the search, not only the trial: the user must fix them
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker to run.

    number: in the study. recipe: in plain values. folder: for the trial's files.
    rungs: steps at which it is saved and evaluated, rising.
    reported: step of the last rung that the driver knows, 0 for none.
    seconds_training, seconds_overhead: the trial's cost in earlier runs of the search.
    fold: number of the fold of the images that it is trained and measured on, from 1; 0 for the study's own split.
    fork: step of the checkpoint of another trial that it began from, and that trial's recipe in plain values; None if it
        began with initial weights.
    """

    number: int
    recipe: Mapping[str, Any]
    folder: Path
    rungs: Sequence[int]
    reported: int = 0
    seconds_training: float = 0.0
    seconds_overhead: float = 0.0
    fold: int = 0
    fork: tuple[int, Mapping[str, Any]] | None = None


def make_trainer(factory: str, dataset: Dataset, options: Mapping[str, Any]) -> Trainer:
    """Call `factory` ("module:callable") with the dataset and the options; returns the Trainer."""
    module, _, name = factory.partition(":")
    trainer: Trainer = getattr(importlib.import_module(module), name)(dataset, **options)
    return trainer


class Trainers:
    """The trainers of one process, one per factory; each is made when it is first needed, and reused.

    factories: "module:callable" by model; None for the models' own.
    dataset, options: arguments of the factories. folds: further datasets, of which those of one are in memory.
    """

    def __init__(
        self,
        factories: Mapping[str, str] | None,
        dataset: Dataset,
        options: Mapping[str, Any],
        folds: Sequence[Dataset] = (),
    ) -> None:
        self._factories = factories or {}
        self._datasets = (dataset, *folds)
        self._options = options
        self._fold = 0
        self._made: dict[str, Trainer] = {}

    def __call__(self, model: str, fold: int = 0) -> Trainer:
        """The trainer of a model on a fold, counted from 1; 0 for the dataset itself."""
        if fold != self._fold:
            self._fold = fold
            self._made.clear()
        models.check_gpus([model], self._options.get("gpu_fraction", 0), "the GPUs of a trial")
        factory = self._factories[model] if model in self._factories else models.get(model).trainer
        if factory not in self._made:
            self._made[factory] = make_trainer(factory, self._datasets[fold], self._options)
        return self._made[factory]


class Worker:
    """Runs one trial at a time: `begin`, then `step` until the trial has ended.

    trainers: returns the trainer of a model by its name and a fold; called when a trial starts.
    task: the name of the models' task.
    chunk_seconds: about the duration of a `step`, and so the time until a stop takes effect.
    early_images: number of validation images at the rungs before the last; None for all.
    save_seconds: between checkpoints; there is one at each rung too.
    files: where the trials' files are kept; None for a folder that all machines see.
    unfit: why this machine can train no trial, or no more, though others can; "" while it can.
    """

    def __init__(
        self,
        trainers: Callable[[str, int], Trainer],
        task: str,
        chunk_seconds: float = 3.0,
        early_images: int | None = None,
        save_seconds: float = SAVE_SECONDS,
        files: TrialFiles | None = None,
        unfit: str = "",
    ) -> None:
        self._trainers = trainers
        self._files = files or SharedFolder()
        self.unfit = unfit and f"{socket.gethostname()}: {unfit}"
        self._task = task
        self._early_images = early_images
        self._chunk_seconds = chunk_seconds
        self._save_seconds = save_seconds
        self._saving: Saving | None = None
        self._assigned: Assignment | None = None
        self._started: Trainer | None = None
        self._note = ""
        self._chunk = 1
        self._clock = time.monotonic()

    def begin(self, assigned: Assignment) -> None:
        """Set the trial that `step` runs. Returns at once: the trial starts with the first `step`."""
        if self._saving is not None:
            self._saving.finish()
        self._assigned = assigned
        self._started = self._saving = None
        self._note = ""
        self._reported = assigned.reported
        self._training = assigned.seconds_training
        self._overhead = assigned.seconds_overhead

    def step(self) -> StepResult:
        """Train a chunk of the trial, at most to its next rung, where it is saved and evaluated.

        Does not raise: errors are reported in the result, as "failed" or "halt".
        """
        assert self._assigned is not None
        if self.unfit:
            self._note = f"this machine is left out; {self.unfit}"
            return self._result("progress")
        try:
            return self._advance(self._assigned)
        except TrialFailed as error:
            return self._result("failed", reason=error.reason)
        except UserError as error:
            return self._result("halt", reason=str(error), traceback=traceback.format_exc())
        except Away as error:  # what else could not be done because of it is no fault of the trial
            reason = f"{error}; run the same command again later"
            return self._result("halt", reason=reason, traceback=traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - becomes the trial's verdict
            if isinstance(error, OSError) and error.errno in DISK:
                where = f"{error.filename}: " if error.filename else ""
                reason = f"{where}{error.strerror}; fix that and run the same command to resume"
                if self._files.own_disk:  # other machines have theirs
                    self.unfit = f"{socket.gethostname()}: {reason}"
                    problem = f"{where}{error.strerror}"
                    self._note = f"{socket.gethostname()} is left out until it can be written ({problem})"
                    return self._result("progress")
                return self._result("halt", reason=reason, traceback=traceback.format_exc())
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return self._result("failed", reason=reason, traceback=traceback.format_exc())

    def keep(self) -> None:
        """Save a checkpoint at the trial's current step, unless there is one, so that it can resume from there."""
        if self._saving is not None and not self.unfit:
            self._saving.begin()
            self._saving.finish()
            self._files.finish(KEEP_SECONDS)

    def _advance(self, assigned: Assignment) -> StepResult:
        trainer = self._started or self._start(assigned)
        assert self._saving is not None
        self._saving.poll()
        target = next((rung for rung in assigned.rungs if rung > trainer.step), assigned.rungs[-1])
        if trainer.step in assigned.rungs and trainer.step > self._reported:
            target = trainer.step  # it was saved there, and killed before the driver got the result
        curve = None
        if target > trainer.step:
            curve = trainer.train(min(target, trainer.step + self._chunk))
            self._training += curve.compute_seconds
            self._choose_chunk(curve)
        if trainer.step not in assigned.rungs or trainer.step <= self._reported:
            if self._saving.due:
                self._saving.begin()
            return self._result("progress", curve)
        self._saving.begin()
        try:  # it is written while the trial is evaluated
            metrics = trainer.evaluate(None if trainer.step == assigned.rungs[-1] else self._early_images)
        finally:
            self._saving.finish()
        if metrics.results and not assigned.fold:  # which are compared image by image
            tasks.get(self._task).write_results(assigned.folder, trainer.step, metrics.results)
        self._files.changed(assigned.folder, trainer.step)
        if trainer.step == assigned.rungs[-1]:  # with its result the search may end, and this process with it
            self._files.settle()
        self._reported = trainer.step
        return self._result("rung", curve, metrics=metrics.flat(), seconds_evaluation=metrics.seconds)

    def _start(self, assigned: Assignment) -> Trainer:
        # first, since its module may register the model
        trainer = self._trainers(str(assigned.recipe["model"]), assigned.fold)
        recipe = recipes.build(dict(assigned.recipe), where=f"trial {assigned.number}")
        self._note = self._files.prepare(assigned.folder, assigned.number, recipe, assigned.reported)
        newest = newest_checkpoint(assigned.folder)
        if newest and assigned.fork and newest[0] <= assigned.fork[0]:  # the trial has none of its own yet
            trainer.start(recipe, newest[1], recipes.build(dict(assigned.fork[1]), where="the forked trial"))
        else:
            trainer.start(recipe, newest[1] if newest else None)
        note_hardware(assigned.folder)
        files = trainer.files()
        for name, text in files.items():
            write_text(assigned.folder / name, text)
        write_text(assigned.folder / FILES, json.dumps(sorted(files)))
        self._files.changed(assigned.folder, trainer.step)
        self._taken = WorkersCost.read(assigned.folder).steps
        self._saving = Saving(trainer, assigned.folder, self._save_seconds, self._files.saved)
        self._started = trainer
        return trainer

    def _choose_chunk(self, curve: TrainingCurve) -> None:
        each = max(curve.seconds / max(len(curve.steps), 1), 1e-6)
        # one measurement can mislead (the first steps of a graph are slow), so the chunk grows by at most a factor of 8
        self._chunk = max(1, min(round(self._chunk_seconds / each), self._chunk * 8))

    def _result(self, kind: Any, curve: TrainingCurve | None = None, **fields: Any) -> StepResult:
        assert self._assigned is not None
        now = time.monotonic()
        # all time of the process is charged to a trial: what was not training since the last message is overhead
        elapsed, self._clock = now - self._clock, now
        self._overhead += elapsed - (curve.compute_seconds if curve else 0.0)
        if self._started is not None:
            self._taken += len(curve.steps) if curve else 0
            with suppress(OSError):  # a full disk is told by what needs the space
                WorkersCost(self._taken, self._training, self._overhead).write(self._assigned.folder)
        curves = {} if curve is None else {f"training_loss/{part}": v for part, v in curve.losses.items()}
        if curve is not None:
            curves["learning_rate"] = curve.learning_rates
        note, self._note = self._note, ""
        sent, received = self._files.moved()
        return StepResult(
            trial=self._assigned.number,
            step=self._started.step if self._started else 0,
            kind=kind,
            images_per_second=curve.images_per_second if curve else 0.0,
            steps=curve.steps if curve else (),
            curves=curves,
            seconds_training=self._training,
            seconds_overhead=self._overhead,
            sent=sent,
            received=received,
            note=note,
            **fields,
        )
