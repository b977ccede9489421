"""DrawnTrial: what the pictures of a trial are drawn from: its measurements and its training curve."""

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
    """A trial that is over.

    folder: `<study>/trials/<number>`. title: what is written over its charts. rungs: rising, one at least.
    classes: names by label. objective: its name.
    """

    folder: Path
    title: str
    rungs: Sequence[Rung]
    classes: tuple[str, ...]
    task: Task
    objective: str

    @cached_property
    def training(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and total training losses of its curve, (S,) each."""
        points = [
            (line["step"], line["metrics"]["training_loss/total"])
            for _, line in curves.read(self.folder / "metrics.jsonl")
            if "training_loss/total" in line["metrics"]
        ]
        steps, losses = np.array(points, float).reshape(-1, 2).T
        return steps, losses
