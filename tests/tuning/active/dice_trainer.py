"""A Trainer whose mAP50 rises with the objects that it was trained on, and whose export is a tiny real detector.

The export finds boxes that are the likelier the brighter the image is, so that entropy prefers the grey pictures of
made_data, which show two objects and not one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import tiny_detector

from trainers.datasets.dataset import Dataset
from trainers.datasets.records.reading import read_images
from trainers.detection.coco_metrics import COCO_NAMES
from trainers.files import replace_folder
from trainers.metrics import Metrics
from trainers.recipe import Recipe
from trainers.trainer import TrainingCurve

PACE = float(os.environ.get("DICE_PACE", "0"))  # seconds a step, for tests that kill


class DiceTrainer:
    """dataset: its training images' boxes are counted. The rest is as in trainers.trainer.Trainer."""

    def __init__(self, dataset: Dataset, cpus: int = 1, gpu_fraction: float = 0.0) -> None:
        self._dataset = dataset
        self._objects = sum(len(image.labels) for image in read_images(dataset.train.files))

    @property
    def step(self) -> int:
        return self._step

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        self._recipe = recipe
        self._step = json.loads((checkpoint / "state.json").read_text())["step"] if checkpoint else 0

    def train(self, until_step: int) -> TrainingCurve:
        steps = range(self._step + 1, until_step + 1)
        time.sleep(PACE * len(steps))
        self._step = until_step
        return TrainingCurve(list(steps), {"total": [1.0] * len(steps)}, [0.1] * len(steps), 0.1, 0.1, 8.0)

    def evaluate(self, images: int | None = None) -> Metrics:
        luck = np.random.default_rng(self._recipe.seed).normal(0, 0.01)
        reached = float(np.clip(self._objects / 100 + luck, 0, 1))
        values = dict.fromkeys(COCO_NAMES, 0.0) | {"mAP": reached / 2, "mAP50": reached}
        values |= {f"AP/{name}": reached / 2 for name in self._dataset.classes}
        return Metrics(self._step, values, {"total": 1.0}, images or 4, 0.0)

    def save(self, directory: Path) -> Future[None]:
        with replace_folder(directory) as folder:
            (folder / "state.json").write_text(json.dumps({"step": self._step}))
        written: Future[None] = Future()
        written.set_result(None)
        return written

    def export(self, directory: Path) -> None:
        tiny_detector.write(directory, self._dataset.classes)

    def files(self) -> Mapping[str, str]:
        return {}
