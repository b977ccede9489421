"""The export of a study's trial, made from its newest checkpoint by a process of its own, and only once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.detection import export as exports
from trainers.errors import TrialFailed, UserError
from tuning.command import DETECTOR_TRAINER
from tuning.execution.worker import make_trainer, newest_checkpoint

EXPORT = "export"
MEASURED_TOLERANCE = 0.005  # mAP: other CPUs, and other numbers of threads, round otherwise


def export_trial(
    trial: Path,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
    measured: float | None = None,
    trainer: str = DETECTOR_TRAINER,
) -> Path:
    """The export of the trial in `<studies>/<study>/trials/<number>`, made in its `export` unless it is there.

    One of fewer steps than the trial has been trained for by now is made anew.

    data: the study's (Manifest.data). about: JSON values to keep with it.
    measured: the mAP that the trial had; what its checkpoint measures now must be the same. None to let it be.
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
    job = {"trial": str(trial), "data": data, "about": about, "measured": measured, "trainer": trainer}
    # TensorFlow's memory goes with the process
    done = subprocess.run(
        [sys.executable, "-m", "tuning.api.exporting"], input=json.dumps(job), stderr=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    said = done.stderr.strip().splitlines() or ["it was killed"]
    if done.returncode == 2:
        raise UserError(said[-1].removeprefix("error: "))
    if done.returncode:
        raise UserError(f"{trial}: the export failed: {said[-1][:300]}")
    return target


def make(
    trial: Path, data: Mapping[str, Any], about: Mapping[str, Any], measured: float | None, trainer: str
) -> None:
    """Make it in this process. Raises UserError, and TrialFailed when the export is not what was trained."""
    from trainers.recipe import read
    from tuning.api.settings import cpus_here, gpus_here
    from tuning.api.training import with_all_images
    from tuning.study.data import reopen

    newest = newest_checkpoint(trial)
    assert newest is not None
    dataset = reopen(data, trial.parents[2] / "data")
    if data.get("all"):
        dataset, _ = with_all_images(dataset)
    options = {"cpus": cpus_here(), "gpu_fraction": min(1.0, gpus_here())}
    model = make_trainer(trainer, dataset, options)
    model.start(read(trial / "recipe.yaml"), newest[1])
    if measured is not None:
        now = model.evaluate().mAP
        if abs(now - measured) > MEASURED_TOLERANCE:
            raise UserError(
                f"{newest[1]}: measures an mAP of {now:.3f}, but the trial had {measured:.3f} "
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
