"""Exports a trial from its newest checkpoint, in a subprocess, and only once."""

from __future__ import annotations

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
from trainers.errors import TrialFailed, UserError
from trainers.recipe import read
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer
from tuning.study.trial_folder import newest_checkpoint

EXPORT = "export"
MEASURED_TOLERANCE = 0.005  # of the objective: other CPUs, and other numbers of threads, round otherwise


def export_trial(
    trial: Path,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    measured: Mapping[str, Any] | None = None,
    trainer: str | None = None,
) -> Path:
    """The export of the trial in `<studies>/<study>/trials/<number>`, made in its `export` unless it is there.

    One of fewer steps than the trial has been trained for by now is made anew.

    data: the study's (Manifest.data). about: JSON values to keep with it.
    measured: `objective`, its name, and `value`, what the trial had; what its checkpoint measures now must be the
        same. None to let it be.
    Raises UserError when the checkpoint or the data are gone, or the export is not what was trained.
    """
    target = trial / EXPORT
    newest = newest_checkpoint(trial)
    if (target / exports.MANIFEST).is_file() and (
        newest is None or exports.read(target).manifest.get("step") == newest[0]
    ):
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
    # TensorFlow's memory goes with the process
    done = subprocess.run(
        [sys.executable, "-m", "tuning.api.exporting"], input=json.dumps(job), stderr=subprocess.PIPE, text=True,
        check=False, env=os.environ | {"PYTHONPATH": python_path(modules)},
    )  # fmt: skip
    said = done.stderr.strip().splitlines() or ["it was killed"]
    if done.returncode == 2:
        raise UserError(said[-1].removeprefix("error: "))
    if done.returncode:
        raise UserError(f"{trial}: the export failed: {said[-1][:300]}")
    return target


def make(
    trial: Path,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    measured: Mapping[str, Any] | None,
    trainer: str | None,
    modules: Sequence[str] = (),
) -> None:
    """Make it in this process. Raises UserError, and TrialFailed when the export is not what was trained."""
    from tuning.api.settings import cpus_here, gpus_here
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
    options = {"cpus": cpus_here(), "gpu_fraction": min(1.0, gpus_here())}
    model = make_trainer(trainer or models.get(recipe.model).trainer, dataset, options)
    model.start(recipe, newest[1])
    if measured is not None:
        objective = task.objective(measured["objective"], dataset.classes)
        now = objective.score(model.evaluate().flat()).value
        if abs(now - measured["value"]) > MEASURED_TOLERANCE:
            raise UserError(
                f"{newest[1]}: measures {objective.name} {now:.3f}, but the trial had {measured['value']:.3f} "
                f"(tolerance {MEASURED_TOLERANCE})"
            )
    model.export(trial / EXPORT)
    exports.amend(trial / EXPORT, **about)


if __name__ == "__main__":
    try:
        make(**{**(given := json.load(sys.stdin)), "trial": Path(given["trial"])})
    except (UserError, TrialFailed) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
