"""What is drawn of a trial: its measurements, its curve, and what it found in the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trainers.detection import samples
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.samples import Found
from tuning.study import curves, detections
from tuning.study.trial_record import Rung


@dataclass(frozen=True)
class DrawnTrial:
    """A trial that is over.

    folder: `<study>/trials/<number>`. title: what is written over its charts. rungs: rising, one at least.
    classes: names by label.
    """

    folder: Path
    title: str
    rungs: Sequence[Rung]
    classes: tuple[str, ...]

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

    @cached_property
    def results(self) -> list[ImageResult]:
        """Of each validation image at the last rung; none where nothing was kept."""
        return detections.read(self.folder, self.rungs[-1].step)

    @cached_property
    def threshold(self) -> float:
        """The score from which up its detections are best, by F1: what a person would have it show."""
        return samples.best_threshold(
            [Found(each.boxes, each.scores, each.classes) for each in self.results],
            [each.true_boxes for each in self.results],
            [each.true_classes for each in self.results],
        )
