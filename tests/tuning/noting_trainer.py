"""A CurveTrainer that notes the fingerprint of its data in a file of the trial."""

from __future__ import annotations

from typing import Any

from curve_trainer import CurveTrainer

from trainers.datasets.dataset import Dataset


class NotingTrainer(CurveTrainer):
    def __init__(self, dataset: Dataset, **trouble: Any) -> None:
        super().__init__(dataset, **trouble)
        self._fingerprint = dataset.fingerprint

    def files(self) -> dict[str, str]:
        return super().files() | {"data.txt": self._fingerprint}
