"""Curve trainers for the tests on Ray: of processes that are told or killed, and of trials in trouble from the start."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curve_trainer import CurveTrainer

from trainers.datasets.dataset import Dataset
from trainers.metrics import Metrics


class PidTrainer(CurveTrainer):
    def files(self) -> Mapping[str, str]:
        return {"pipeline.config": str(os.getpid())}


class LastWords(CurveTrainer):
    """Its process is killed half a second after the first trial has told its last rung. once: a file that notes it."""

    def evaluate(self, images: int | None = None) -> Metrics:
        once = Path(self._trouble["once"])
        if self.step == self._recipe.steps and not once.exists():
            once.touch()
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return super().evaluate(images)


class Diverging(CurveTrainer):
    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(dataset, diverge=0.0)


class Refusing(CurveTrainer):
    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(dataset, refuse=1)
