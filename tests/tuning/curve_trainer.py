"""Trainers that cost nothing: the learning curve is a formula of the recipe, in one also of the weights."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from trainers.datasets.dataset import Dataset, Part
from trainers.detection.coco_metrics import COCO_NAMES
from trainers.errors import Diverged, UserError
from trainers.files import replace_folder
from trainers.metrics import Metrics
from trainers.recipe import Recipe
from trainers.trainer import TrainingCurve

DATASET = Dataset(
    name="curves",
    source="formula",
    classes=("vehicle", "pedestrian"),
    train=Part((Path("train.record"),), 100),
    validation=Part((Path("validation.record"),), 20),
    fingerprint="0123456789ab",
)


class CurveTrainer:
    """Its mAP rises towards a height that is best at a learning rate of .003, and is still 0 over the first tenth.

    The environment's CURVE_TROUBLE, as JSON, or trouble: {"diverge": R} raises Diverged above the rate R;
    {"crash"|"kill"|"refuse": N} at step N ("kill" with "once": only while the file of that name is not there);
    {"pace": S} takes S seconds a step; {"log": PATH} notes there what was trained: recipe, first and last step, seconds,
    and the time when it began.
    """

    def __init__(self, dataset: Dataset, **trouble: Any) -> None:
        self._trouble = json.loads(os.environ.get("CURVE_TROUBLE", "{}")) | trouble
        self.started: list[str] = []

    @property
    def step(self) -> int:
        return self._step

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        self._recipe = recipe
        self._step = json.loads((checkpoint / "state.json").read_text())["step"] if checkpoint else 0
        self.started.append(recipe.recipe_id)

    def train(self, until_step: int) -> TrainingCurve:
        steps = range(self._step + 1, until_step + 1)
        trouble = self._trouble
        if self._recipe.schedule.base > trouble.get("diverge", math.inf):
            raise Diverged(f"total loss is nan at step {self._step + 1}")
        if trouble.get("crash") in steps:
            raise ZeroDivisionError("the formula\nbroke")
        if trouble.get("refuse") in steps:
            raise UserError("weights.zip: is gone; fetch it again")
        if trouble.get("kill") in steps:
            once = Path(trouble["once"]) if "once" in trouble else None
            if once is None or not once.exists():
                if once is not None:
                    once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        pace, began = trouble.get("pace", 1e-4), time.time()
        if "pace" in trouble:
            time.sleep(pace * len(steps))
        if "log" in trouble:
            taken = [self._recipe.recipe_id, self._step + 1, until_step, pace * len(steps), began]
            with Path(trouble["log"]).open("a", encoding="utf-8") as log:
                log.write(json.dumps(taken) + "\n")
        self._step = until_step
        losses = {"total": [self._loss(step) for step in steps]}
        rates = [self._recipe.learning_rate(step - 1) for step in steps]
        return TrainingCurve(list(steps), losses, rates, pace * len(rates), pace * len(rates), 800.0)

    def evaluate(self, images: int | None = None) -> Metrics:
        mean = self.mean_ap(self._recipe, self._step)
        values = dict.fromkeys(COCO_NAMES, 0.0) | {"mAP": mean, "mAP50": min(1.0, 1.5 * mean)}
        values |= {f"AP/{name}": mean for name in DATASET.classes}
        return Metrics(self._step, values, {"total": self._loss(self._step)}, images or 20, 0.0)

    @staticmethod
    def mean_ap(recipe: Recipe, step: int) -> float:
        height = 0.6 * math.exp(-abs(math.log10(recipe.schedule.base / 0.003)))
        return round(height * max(0.0, step / recipe.steps - 0.1) / 0.9, 4)

    def _loss(self, step: int) -> float:
        return 2.0 - self.mean_ap(self._recipe, step) + 1.0 / (1 + step)

    def save(self, directory: Path) -> Future[None]:
        with replace_folder(directory) as folder:
            (folder / "state.json").write_text(json.dumps({"step": self._step}))
        written: Future[None] = Future()
        written.set_result(None)
        return written

    def export(self, directory: Path) -> None:
        with replace_folder(directory) as folder:
            (folder / "model.json").write_text(json.dumps(self._recipe.to_dict()))

    def files(self) -> Mapping[str, str]:
        return {"pipeline.config": f'model {{ detector: "{self._recipe.model}" }}\n'}


FIRST, LAST = (
    0.004,
    0.0003,
)  # the best rate at the first and at the last step; in between it falls geometrically


class DriftingTrainer(CurveTrainer):
    """Each step adds to the mAP, the more the nearer the learning rate is to the one that is best at this step."""

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        super().start(recipe, checkpoint)
        saved = json.loads((checkpoint / "state.json").read_text()) if checkpoint else {}
        owner = (of or recipe).recipe_id
        assert saved.get("recipe_id", owner) == owner, "a checkpoint of another recipe"
        self.learned = saved.get("learned", 0.0)

    def train(self, until_step: int) -> TrainingCurve:
        for step in range(self._step, until_step):
            self.learned += (
                gain(self._recipe.learning_rate(step), step / self._recipe.steps) / self._recipe.steps
            )
        return super().train(until_step)

    def evaluate(self, images: int | None = None) -> Metrics:
        found, learned = super().evaluate(images), round(self.learned, 6)
        return dataclasses.replace(found, values={**found.values, "mAP": learned, "mAP50": learned})

    def save(self, directory: Path) -> Future[None]:
        with replace_folder(directory) as folder:
            state = {"step": self._step, "learned": self.learned, "recipe_id": self._recipe.recipe_id}
            (folder / "state.json").write_text(json.dumps(state))
        written: Future[None] = Future()
        written.set_result(None)
        return written


def gain(rate: float, place: float) -> float:
    """What a step adds, 0 to 1. place: of the step in the training, 0 to 1."""
    best = FIRST * (LAST / FIRST) ** place
    return math.exp(-((math.log(max(rate, 1e-9) / best)) ** 2))
