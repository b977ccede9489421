"""For test_main_road.py, in a process of its own: the best trial again by the command in MLflow, and its export.

`python train_again.py STUDY_FOLDER`. One trainer serves both, as a worker's would, for the time that building takes.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from mlflow import MlflowClient

from trainers.datasets.dataset import Dataset
from trainers.object_detection_api.trainer import DetectorTrainer, alone_in_process
from tuning.api import exporting
from tuning.study import reading
from tuning.train import main

SHARED = "train_again:shared"
_trainers: dict[str, DetectorTrainer] = {}


def shared(dataset: Dataset, cpus: int, gpu_fraction: float) -> DetectorTrainer:
    """One trainer for each dataset, on one thread."""
    if dataset.fingerprint not in _trainers:
        _trainers[dataset.fingerprint] = alone_in_process(dataset, 1, 0)
    return _trainers[dataset.fingerprint]


def run(folder: Path) -> None:
    """As said above."""
    study = reading.read(folder.name, folder.parent)
    best = json.loads((folder / "summary.json").read_text())["best"]["trial"]
    trial, record = folder / "trials" / str(best), study.record(best)
    note = json.loads((trial / "mlflow.json").read_text())
    command = shlex.split(MlflowClient(note["uri"]).get_run(note["run"]).data.tags["command"])
    assert command[:3] == ["python", "-m", "tuning.train"]
    where = ["--studies-dir", str(folder.parent), "--study", "again", "--trainer", SHARED]
    assert main([*command[3:], *where]) == 0
    about = {"study": folder.name, "trial": best, "mlflow": note}
    measured = {"objective": study.objective.name, "value": record.value}
    exporting.make(trial, study.manifest.data, about, measured, SHARED)


if __name__ == "__main__":
    sys.modules["train_again"] = sys.modules["__main__"]  # that --trainer names
    run(Path(sys.argv[1]))
