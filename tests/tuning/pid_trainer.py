"""Curve trainers for the tests on Ray: one that tells its process, and two in trouble from the first step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from curve_trainer import CurveTrainer

from trainers.datasets.dataset import Dataset


class PidTrainer(CurveTrainer):
    def files(self) -> Mapping[str, str]:
        return {"pipeline.config": str(os.getpid())}


class Diverging(CurveTrainer):
    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(dataset, diverge=0.0)


class Refusing(CurveTrainer):
    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(dataset, refuse=1)
