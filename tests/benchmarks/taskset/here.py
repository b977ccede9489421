"""This project's search on one task, by its own replay: its real sampler, scheduler, study, limits and simulated clock.

The task is made a model here, whose recipes are those of the table. A proposal becomes the nearest recipe that no trial
has, of which the sampler is told.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clock import Completed
from tasks import TuningTask

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from search_spaces.branch import Branch, Published  # noqa: E402
from search_spaces.conditions import Conditions  # noqa: E402
from search_spaces.parts.parameters import Range, Trial  # noqa: E402
from search_spaces.space import Space  # noqa: E402
from trainers import model as models  # noqa: E402
from trainers import task as trainers_tasks  # noqa: E402
from trainers.metrics import Metric  # noqa: E402
from trainers.recipe import Recipe  # noqa: E402
from trainers.task import Task  # noqa: E402
from tuning.api.replaying import Rule, replay  # noqa: E402
from tuning.search.simulation import Curve  # noqa: E402

RULES = {
    "this search": Rule(scheduler="promote"),
    "this search, stop": Rule(scheduler="stop"),
    "this search, random proposals": Rule(scheduler="promote", sampler="random"),
}


class Tabular(Task):
    """To find the recipe with the smallest validation loss. There are no data: nothing is trained."""

    name = "tabular"
    title = "a table of recipes"
    default_objective = "loss"

    def metrics(self, classes: Sequence[str]) -> Mapping[str, Metric]:
        """The validation loss."""
        return {"loss": Metric("loss", "minimize", bounded=False)}

    def open_data(self, *_: Any, **__: Any) -> Any:
        """Never called."""
        raise NotImplementedError

    def check_export(self, folder: Path) -> Any:
        """Never called."""
        raise NotImplementedError

    def signature(self, folder: Path) -> Any:
        """Never called."""
        raise NotImplementedError


class TabularRecipe(Recipe):
    """A row of a table. hyperparameters: by name."""

    hyperparameters: dict[str, float]


@dataclass(frozen=True)
class TabularBranch(Branch):
    """The hyperparameters of a table. ranges: as TuningTask.ranges."""

    model: str
    ranges: Mapping[str, tuple[float, float, bool]]

    def suggest(self, trial: Trial, conditions: Conditions) -> dict[str, Any]:
        """All of them."""
        chosen = {name: Range(*limits).suggest(trial, name) for name, limits in self.ranges.items()}
        return self.fixed(conditions) | {"hyperparameters": chosen}

    def express(self, recipe: Recipe, conditions: Conditions) -> tuple[dict[str, Any], list[str]]:
        """The same, of a recipe."""
        return dict(recipe.to_dict()["hyperparameters"]), []

    def published(self, preset: str) -> Sequence[Published]:
        """None."""
        return ()


@functools.lru_cache(maxsize=1)
def space_of(task: TuningTask) -> Space:
    """The task's space, over a model of its own."""
    models.register(
        models.Model(
            name=task.name,
            title=task.name,
            task=Tabular.name,
            trainer="here:nothing",
            recipe=TabularRecipe,
            presets={
                "laptop": {
                    "image_size": 1, "batch_size": 1, "steps": task.length, "optimizer": {"kind": "adam"},
                    "schedule": {"kind": "constant", "base": 1.0}, "hyperparameters": {},
                }
            },
            first_rung=1,
        )
    )  # fmt: skip
    return Space(task.name, (TabularBranch(task.name, task.ranges),))


@functools.lru_cache(maxsize=1)
def curves_of(task: TuningTask) -> list[Curve]:
    """The table's rows."""
    space, conditions = space_of(task), Conditions(steps=task.length)
    curves = []
    for recipe in range(len(task.values)):
        params = task.hyperparameters(recipe)
        made = space.replay(params, conditions).recipe
        losses = [float(loss) for loss in task.losses[recipe]]
        curves.append(Curve(made, params, range(1, task.length + 1), {"loss": losses}, 1.0))
    return curves


def search(name: str, task: TuningTask, seed: int, workers: int, trainings: float) -> list[Completed]:
    """Run the arm `name` (arms.py)."""
    curves = curves_of(task)
    rule = dataclasses.replace(RULES[name], trials=len(curves), workers=workers, like=trainings)
    history = replay(curves, space_of(task), Conditions(steps=task.length), rule, seed)[1]
    ends = [each for each in history if each.step == task.length and math.isfinite(each.value)]
    return [Completed(each.taken, each.value) for each in ends]


trainers_tasks.register(Tabular())
