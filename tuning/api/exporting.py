"""Exports a trial from its newest checkpoint, in a subprocess; an existing export is reused."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainers import export as exports
from trainers import model as models
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.errors import TrialFailed, UserError
from trainers.recipe import Recipe, read
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer
from tuning.study.storage.working_copy import fetch_trial, push_folder
from tuning.study.trial_folder import newest_checkpoint

EXPORT, TEST = "export", "test"
MEASURED_TOLERANCE = 0.005  # of the objective: rounding differs between CPUs and numbers of threads


def export_trial(
    trial: Path,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    measured: Mapping[str, Any] | None = None,
    trainer: str | None = None,
    threshold_for: str | None = None,
) -> Path:
    """Export the trial in the folder `trial` (`<studies>/<study>/trials/<number>`); returns the folder of the export.

    An existing export is returned, unless the trial has been trained further since. Data with a test part are evaluated
    on it, once: metrics by name are in the export's manifest, under TEST.

    data: the study's Manifest.data. about: JSON values to store in the export's manifest.
    measured: {"objective": name, "value": value of the trial, "images": number of validation images that it was measured
        on, None for all}: evaluate the checkpoint first, and check that the value is the same within
        MEASURED_TOLERANCE. None: do not check.
    trainer: factory, "module:callable", instead of the model's own.
    threshold_for: the condition that the score threshold is to meet (Task.threshold_choice); None: that of the export,
        and of a new one the task's default.
    Raises UserError when the checkpoint or the data are missing, the export does not match the trained model, or no
    threshold meets the condition.
    """
    if threshold_for is not None:
        task = tasks.get(models.get(read(trial / "recipe.yaml").model).task)
        choose = task.threshold_choice(threshold_for)
        target = export_trial(trial, data, about, measured, trainer)
        choose(target)
        push_folder(trial, EXPORT)
        return target
    fetch_trial(trial)
    target = trial / EXPORT
    newest = newest_checkpoint(trial)
    if (target / exports.MANIFEST).is_file() and (
        newest is None or exports.read(target).manifest.get("step") == newest[0]
    ):
        push_folder(trial, EXPORT, missing=True)  # the store did not answer when it was made
        return target
    if newest is None:
        raise UserError(
            f"{trial}: its checkpoint is gone; train it again: python -m tuning.train "
            f"--trial {trial.parents[1]}/{trial.name}"
        )
    modules = models.modules_of([read(trial / "recipe.yaml").model])
    job = {
        "trial": str(trial), "data": data, "about": about, "measured": measured, "trainer": trainer,
        "modules": list(modules),
    }  # fmt: skip
    # in a subprocess, so that TensorFlow's memory is freed
    done = subprocess.run(
        [sys.executable, "-m", "tuning.api.exporting"], input=json.dumps(job), stderr=subprocess.PIPE, text=True,
        check=False, env=os.environ | {"PYTHONPATH": python_path(modules)},
    )  # fmt: skip
    errors = done.stderr.strip().splitlines() or ["it was killed"]
    if done.returncode == 2:
        raise UserError(errors[-1].removeprefix("error: "))
    if done.returncode:
        raise UserError(f"{trial}: the export failed: {errors[-1][:300]}")
    push_folder(trial, EXPORT)
    return target


def check_reached(trial: Path, step: int) -> None:
    """Check that the newest checkpoint of a trial is not of an earlier step than `step`, which its record has reached.

    Its folder is fetched first if the study is in a store. Raises UserError, also for an export that is left alone.
    """
    fetch_trial(trial)
    newest = newest_checkpoint(trial)
    if newest is not None:
        what, there = f"the newest checkpoint of trial {trial.name}", newest[0]
    elif (trial / EXPORT / exports.MANIFEST).is_file():
        what = f"the export of trial {trial.name}, whose checkpoint is gone,"
        there = int(exports.read(trial / EXPORT).manifest.get("step", step))
    else:
        return  # export_trial says so
    if there < step:
        raise UserError(
            f"{trial}: {what} is of step {there}, and its value was measured at step {step}; train it again: "
            f"python -m tuning.train --trial {trial.parents[1]}/{trial.name}"
        )


def make(
    trial: Path,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    measured: Mapping[str, Any] | None,
    trainer: str | None,
    modules: Sequence[str] = (),
) -> None:
    """Make the export in this process. Raises UserError; TrialFailed when the export does not match the model."""
    from tuning.api.training import with_all_images
    from tuning.study.data import reopen

    for module in modules:
        importlib.import_module(module)
    newest = newest_checkpoint(trial)
    assert newest is not None
    recipe = read(trial / "recipe.yaml")
    task = tasks.get(models.get(recipe.model).task)
    dataset = reopen(task, data, trial.parents[2] / "data")
    if data.get("all"):
        dataset, _ = with_all_images(dataset)
    factory = trainer or models.get(recipe.model).trainer
    model = make_trainer(factory, dataset, options_here())
    model.start(recipe, newest[1])
    if measured is not None:
        objective = task.objective(measured["objective"], dataset.classes)

        def now(images: int | None) -> float:
            return objective.score(model.evaluate(images).flat()).value

        # of a training by tuning.train, all rungs are measured on all images
        values = (now(images) for images in dict.fromkeys((measured.get("images"), None)))
        if not any(abs((last := value) - measured["value"]) <= MEASURED_TOLERANCE for value in values):
            raise UserError(
                f"{newest[1]}: has {objective.name} {last:.3f} now, but the trial had {measured['value']:.3f} "
                f"(tolerance {MEASURED_TOLERANCE}); train it again"
            )
    on_test = on_test_part(factory, dataset, recipe, newest[1])
    model.export(trial / EXPORT)
    exports.amend(trial / EXPORT, **about, **on_test)


def on_test_part(
    factory: str, dataset: Dataset, recipe: Recipe, checkpoint: Path, of: Recipe | None = None
) -> dict[str, Any]:
    """The metrics of a checkpoint on the test part, as an export's manifest has them; empty without such a part.

    factory: of the trainer, "module:callable". of: see Trainer.start.
    """
    if dataset.test is None:
        return {}
    held_out = make_trainer(factory, dataclasses.replace(dataset, validation=dataset.test), options_here())
    held_out.start(recipe, checkpoint, of)
    return {TEST: {"images": dataset.test.images, "metrics": held_out.evaluate().flat()}}


def options_here() -> dict[str, Any]:
    """The options of a trainer's factory that has all of this machine."""
    from trainers.hardware.machine import cpus_here, gpus_here

    return {"cpus": cpus_here(), "gpu_fraction": min(1.0, gpus_here())}


if __name__ == "__main__":
    try:
        make(**{**(given := json.load(sys.stdin)), "trial": Path(given["trial"])})
    except (UserError, TrialFailed) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
