"""`python -m tuning.pictures`: draws the trials that tuning.callbacks.pictures names on its standard input."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from trainers.datasets.dataset import Dataset, from_dict
from trainers.files import replace_folder
from tuning.pictures import charts, contact_sheet
from tuning.pictures.trial import DrawnTrial
from tuning.study.trial_record import Rung
from tuning.tracking.mlflow_writer import PICTURES


def draw(trial: DrawnTrial, dataset: Dataset) -> None:
    """Draw all pictures of a trial into its folder, or none."""
    with replace_folder(trial.folder / PICTURES) as folder:
        charts.losses(trial, folder / "loss.png")
        charts.mean_ap(trial, folder / "average-precision.png")
        if trial.results:
            charts.precision_recall(trial, folder / "precision-recall.png")
            charts.confusion(trial, folder / "confusion.png")
            contact_sheet.draw(trial, dataset, folder / "validation.jpg")


def main(job: dict[str, Any]) -> None:
    """Draw one trial: `dataset` as Dataset.to_dict, `folder`, `title` and `rungs` of the trial."""
    dataset = from_dict(job["dataset"])
    rungs = [Rung(**rung) for rung in job["rungs"]]
    draw(DrawnTrial(Path(job["folder"]), job["title"], rungs, dataset.classes), dataset)


if __name__ == "__main__":
    os.nice(19)  # what trains goes first
    main(json.load(sys.stdin))
