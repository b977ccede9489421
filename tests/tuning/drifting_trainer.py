"""A Trainer that costs nothing and whose weights count: what it has learned so far goes on from a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import Future
from pathlib import Path

from curve_trainer import CurveTrainer

from trainers.files import replace_folder
from trainers.metrics import Metrics
from trainers.recipe import Recipe
from trainers.trainer import TrainingCurve

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
