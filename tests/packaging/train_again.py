"""For test_main_road.py, in a process of its own: the best trial again, by the command that MLflow holds, on one thread.

`python train_again.py STUDY_FOLDER`
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from mlflow import MlflowClient

from trainers.datasets.dataset import Dataset
from trainers.object_detection_api.trainer import DetectorTrainer, alone_in_process
from tuning.train import main


def on_one_thread(dataset: Dataset, cpus: int, gpu_fraction: float) -> DetectorTrainer:
    """The trainer factory."""
    return alone_in_process(dataset, 1, 0)


def run(folder: Path) -> None:
    """As said above; into the study `again` beside that of `folder`."""
    best = json.loads((folder / "summary.json").read_text())["best"]["trial"]
    note = json.loads((folder / "trials" / str(best) / "mlflow.json").read_text())
    command = shlex.split(MlflowClient(note["uri"]).get_run(note["run"]).data.tags["command"])
    assert command[:3] == ["python", "-m", "tuning.train"]
    where = [
        "--studies-dir",
        str(folder.parent),
        "--study",
        "again",
        "--trainer",
        "train_again:on_one_thread",
    ]
    assert main([*command[3:], *where]) == 0


if __name__ == "__main__":
    run(Path(sys.argv[1]))
