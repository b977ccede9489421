"""For test_true_training.py, in a process of its own: a training, the same again by MLflow's command, and an export.

`python train_twice.py RECIPE STUDIES`. One trainer serves both, as a worker's would, for the time that building takes.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from trainers.datasets.dataset import Dataset
from trainers.object_detection_api.trainer import DetectorTrainer, alone_in_process
from tuning import exporting, reading
from tuning.train import main

CITY = "toy-city:train_images=12,validation_images=5"
SHARED = "train_twice:shared"
_trainers: dict[str, DetectorTrainer] = {}


def shared(dataset: Dataset, cpus: int, gpu_fraction: float) -> DetectorTrainer:
    """One trainer for each dataset, on one thread."""
    if dataset.fingerprint not in _trainers:
        _trainers[dataset.fingerprint] = alone_in_process(dataset, 1, 0)
    return _trainers[dataset.fingerprint]


def run(recipe: str, studies: Path) -> None:
    where = ["--studies-dir", str(studies), "--trainer", SHARED]
    assert main([recipe, "--data", CITY, "--study", "one", "--threads", "1", "--gpus", "0", *where]) == 0
    note = json.loads((studies / "one" / "trials" / "0" / "mlflow.json").read_text())

    from mlflow import MlflowClient

    command = shlex.split(MlflowClient(note["uri"]).get_run(note["run"]).data.tags["command"])
    assert command[:3] == ["python", "-m", "tuning.train"]
    assert main([*command[3:], *where]) == 0

    study = reading.read("one", studies)
    trial, record = study.folder / "trials" / "0", study.record(0)
    exporting.make(trial, study.manifest.data, {"study": "one", "trial": 0}, record.mAP, SHARED)


if __name__ == "__main__":
    sys.modules["train_twice"] = sys.modules["__main__"]  # that --trainer names
    run(sys.argv[1], Path(sys.argv[2]))
