"""`python -m tuning.pictures`: draws the pictures of one trial, described as JSON on standard input.

Started by tuning.callbacks.pictures; not meant to be run by hand.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from trainers import task as tasks
from trainers.datasets.dataset import Dataset, from_dict
from trainers.files import replace_folder
from tuning.pictures import charts
from tuning.pictures.trial import DrawnTrial
from tuning.study.trial_folder import PICTURES
from tuning.study.trial_record import Rung


def draw(trial: DrawnTrial, dataset: Dataset) -> None:
    """Draw all pictures of a trial into its folder; atomic."""
    with replace_folder(trial.folder / PICTURES) as folder:
        charts.losses(trial, folder / "loss.png")
        charts.metrics(trial, folder / "metrics.png")
        results = trial.task.read_results(trial.folder, trial.rungs[-1].step)
        if results:
            trial.task.draw(results, dataset, trial.title, folder)


def main(job: dict[str, Any]) -> None:
    """Draw one trial.

    job: `modules` to import (of tasks and models), `dataset` (Dataset.to_dict), and the trial's `folder`, `title`,
    `rungs`, `task` and `objective`.
    """
    for module in job["modules"]:
        importlib.import_module(module)
    dataset, task = from_dict(job["dataset"]), tasks.get(job["task"])
    objective = task.objective(job["objective"], dataset.classes)
    rungs = [Rung.from_dict(rung, objective, {}) for rung in job["rungs"]]
    draw(DrawnTrial(Path(job["folder"]), job["title"], rungs, dataset.classes, task, objective.name), dataset)


if __name__ == "__main__":
    os.nice(19)  # training has priority
    main(json.load(sys.stdin))
