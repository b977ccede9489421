"""A task that has nothing to do with detection, with one model: descend a paraboloid. All that a new task takes.

Registered by import: the driver imports it, and so does each worker, because it is the module of the trainer's factory.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

import search_spaces
from search_spaces.branch import Branch
from search_spaces.conditions import Conditions
from search_spaces.parts.parameters import Range, Trial
from search_spaces.space import Space
from trainers import export as exports
from trainers import model as models
from trainers import task as tasks
from trainers.datasets.dataset import Dataset, Part
from trainers.errors import Diverged
from trainers.evidence import ExportEvidence, ServingSignature
from trainers.files import replace_folder
from trainers.metrics import Metric, Metrics
from trainers.model import Model
from trainers.recipe import Recipe
from trainers.task import Task
from trainers.trainer import TrainingCurve

SAMPLES = 40
PACE = float(os.environ.get("TOY_PACE", "0"))  # seconds a step, for tests that kill


class Descent(Task):
    """Find the bottom of a paraboloid: the smaller the height, the better."""

    name = "descent"
    title = "descent of a paraboloid"
    default_objective = "height"
    headline = ("height", "distance")
    results_name = "heights"

    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        return {
            "height": Metric("height", "minimize", bounded=False),
            "distance": Metric("distance", "minimize", bounded=False),
            "hits": Metric("hits", "maximize", resolution=0.001),
        }

    def open_data(
        self,
        source: str | None,
        cache: Path,
        subset: float = 1.0,
        on_progress: Callable[[str], None] = lambda line: None,
    ) -> Dataset:
        return Dataset(
            name="slope", source=source or "slope", classes=("north", "south"), train=Part((), 100),
            validation=Part((), SAMPLES), fingerprint="5109e",
        )  # fmt: skip

    def pack_results(self, path: Path, results: Sequence[float]) -> Mapping[str, np.ndarray]:
        return {"heights": np.array(results)}

    def unpack_results(self, path: Path, arrays: Mapping[str, np.ndarray]) -> list[float]:
        return list(arrays["heights"])

    def resampled(
        self,
        results: Sequence[float],
        classes: Sequence[str],
        counts: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> Mapping[str, Sequence[np.ndarray]]:
        return {"height": [each @ np.array(results) / each.sum(axis=1) for each in counts]}

    def check_export(self, folder: Path) -> ExportEvidence:
        found = exports.read(folder)
        place = found.manifest["place"]
        return ExportEvidence(
            found.export_id, (), f"export {found.export_id} stands at {place}", {"place": str(place)}
        )

    def signature(self, folder: Path) -> ServingSignature:
        return ServingSignature(
            loader=Path(__file__).with_name("toy_loader.py"),
            inputs={"place": ("float64", (-1, 2))},
            outputs={"height": ("float64", (-1,))},
            example={"place": np.zeros((1, 2))},
        )


class DescentRecipe(Recipe):
    """What the paraboloid has besides: where the descent starts, how steep the valley is across, and how far from the
    place where the descent ended it is measured, both to the north and to the east."""

    start: float = Field(default=3.0, ge=-10, le=10)
    steepness: float = Field(default=4.0, gt=0, le=100)
    aside: float = 0.0


class DescentTrainer:
    """Gradient descent on x**2 + steepness * y**2, with a different valley floor for each of the samples."""

    def __init__(self, dataset: Dataset, cpus: int = 1, gpu_fraction: float = 0.0) -> None:
        self._floors = np.random.default_rng(0).normal(0, 0.3, (SAMPLES, 2))

    @property
    def step(self) -> int:
        return self._step

    def start(self, recipe: Recipe, checkpoint: Path | None = None, of: Recipe | None = None) -> None:
        assert isinstance(recipe, DescentRecipe)
        self._recipe = recipe
        kept = json.loads((checkpoint / "place.json").read_text()) if checkpoint else None
        self._step = kept["step"] if kept else 0
        self._place = np.array(kept["place"] if kept else [recipe.start, recipe.start])

    def train(self, until_step: int) -> TrainingCurve:
        steps = list(range(self._step + 1, until_step + 1))
        losses, rates = [], []
        for step in steps:
            time.sleep(PACE)
            rate = self._recipe.learning_rate(step - 1)
            self._place = self._place - rate * 2 * self._place * np.array([1.0, self._recipe.steepness])
            loss = self._height(self._place)
            if not math.isfinite(loss) or loss > 1e9:
                raise Diverged(f"height is {loss:.3g} at step {step}")
            losses.append(loss)
            rates.append(rate)
        self._step = until_step
        return TrainingCurve(steps, {"total": losses}, rates, 1e-3 * len(steps), 1e-3 * len(steps), 0.0)

    def evaluate(self, images: int | None = None) -> Metrics:
        heights = [self._height(self._place + self._recipe.aside - floor) for floor in self._floors[:images]]
        mean = float(np.mean(heights))
        values = {
            "height": mean,
            "distance": float(np.hypot(*self._place)),
            "hits": float(np.mean(np.array(heights) < 1)),
        }
        whole = images is None or images >= SAMPLES
        return Metrics(self._step, values, {"total": mean}, len(heights), 0.0, heights if whole else ())

    def save(self, directory: Path) -> Future[None]:
        with replace_folder(directory) as folder:
            kept = {"step": self._step, "place": list(self._place)}
            (folder / "place.json").write_text(json.dumps(kept))
        written: Future[None] = Future()
        written.set_result(None)
        return written

    def export(self, directory: Path) -> None:
        with replace_folder(directory) as folder:
            (folder / "place.json").write_text(json.dumps(list(self._place + self._recipe.aside)))
            place = list(self._place + self._recipe.aside)
            exports.seal(folder, {"place": place, "step": self._step})

    def files(self) -> Mapping[str, str]:
        return {"valley.txt": f"x**2 + {self._recipe.steepness:g} * y**2\n"}

    def _height(self, place: np.ndarray) -> float:
        return float(place[0] ** 2 + self._recipe.steepness * place[1] ** 2)


@dataclass(frozen=True)
class DescentBranch(Branch):
    """The rate, and where to start."""

    model: str = "paraboloid"

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        rate = Range(1e-3, 1.0, log=True).suggest(trial, "rate")
        start = Range(-5.0, 5.0).suggest(trial, "start")
        return self.fixed(conditions) | {"schedule": {"kind": "constant", "base": rate}, "start": start}

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        fields = recipe.to_dict()
        return {"rate": fields["schedule"]["base"], "start": fields["start"]}, []


def mean_place(checkpoints: Sequence[Path], target: Path) -> None:
    """Write the average of these checkpoints to `target`."""
    kept = [json.loads((each / "place.json").read_text()) for each in checkpoints]
    with replace_folder(target) as folder:
        place = list(np.mean([each["place"] for each in kept], axis=0))
        (folder / "place.json").write_text(json.dumps(kept[0] | {"place": place}))


DESCENT = tasks.register(Descent())
MODEL = models.register(
    Model(
        name="paraboloid",
        title="Paraboloid",
        task="descent",
        trainer="toy_task:DescentTrainer",
        recipe=DescentRecipe,
        average="toy_task:mean_place",
        after_training={"aside": (0.0, -1.0, -2.0)},
        presets={
            "laptop": {
                "image_size": 1, "batch_size": 1, "steps": 90, "optimizer": {"kind": "momentum"},
                "schedule": {"kind": "constant", "base": 0.02},
            }
        },
    )
)  # fmt: skip
SPACE = search_spaces.register(Space("valley", (DescentBranch(),), choice="model"))
