"""DrawnTrial: the data of a trial's pictures: its rungs and its training curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trainers.task import Task
from tuning.study import curves
from tuning.study.trial_record import Rung


@dataclass(frozen=True)
class DrawnTrial:
    """A trial that has ended.

    folder: `<study>/trials/<number>`. title: heading of the pictures. rungs: at least one, in ascending order.
    classes: class names, in label order. objective: its name.
    """

    folder: Path
    title: str
    rungs: Sequence[Rung]
    classes: tuple[str, ...]
    task: Task
    objective: str

    @cached_property
    def training(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and total training losses, (S,) float each."""
        points = [
            (line["step"], line["metrics"]["training_loss/total"])
            for _, line in curves.read(self.folder / "metrics.jsonl")
            if "training_loss/total" in line["metrics"]
        ]
        steps, losses = np.array(points, float).reshape(-1, 2).T
        return steps, losses
