"""First steps: how long a gradient step takes on this machine, by taking a few before a search chooses its size.

As many processes train at once as the search will have workers, since these share the memory and its bandwidth.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import model as models
from trainers import recipe as recipes
from trainers.datasets.dataset import Dataset, from_dict
from trainers.keras_training import start_up_lines
from tuning.api.forecast import speed
from tuning.api.forecast.speed import COLD_SECONDS, TABLE, FirstSteps
from tuning.api.settings import Settings
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer

SHARE = 0.05  # of the time that is given, which this may take
WARM_UP = 2  # steps that are not counted: they trace the graph, and fill what feeds it
SECONDS = 6.0  # of counted steps
MOST_STEPS = 40
MOST_SECONDS = 180.0  # for one model, after which it is given up


def taken(
    settings: Settings,
    space: Space,
    conditions: Conditions,
    dataset: Dataset,
    say: Callable[[str], None],
    trainer: str | None = None,
) -> Mapping[str, FirstSteps]:
    """The first steps of the models whose speed on this machine is not known; {} where they would take too long.

    They train at the image size and batch size of the settings, or else of the preset. On a cluster there are none: the
    workers' machines are others. A model that cannot train here has none either: the search will say why.
    trainer: factory, "module:callable", instead of the models' own.
    """
    allowed = _seconds(settings)
    if settings.address is not None or allowed is None:
        return {}
    known = speed.known(dict.fromkeys(space.models, 1), settings.cpus, settings.studies_dir)
    wanted = [branch for branch in space.branches if known[branch.model].source == TABLE]
    if not wanted or COLD_SECONDS * len(wanted) > SHARE * allowed:
        return {}
    say(
        f"timing first steps of {', '.join(branch.model for branch in wanted)}, to choose steps that fit the time"
    )
    found = {}
    for branch in wanted:
        default = branch.published(conditions.preset)[branch.first_trials - 1]
        recipe = space.replay(space.adapted(default, conditions).params, conditions).recipe
        job = {
            "recipe": recipe.to_dict(),
            "dataset": dataset.to_dict(),
            "trainer": trainer or branch.about.trainer,
            "modules": list(models.modules_of([branch.model])),
            "options": {"cpus": max(1, int(settings.cpus)), "gpu_fraction": settings.gpus}
            | ({"xla": True} if settings.xla else {}),
        }
        if timed := _timed(job, settings.at_once):
            step, cold = (statistics.mean(each) for each in zip(*timed, strict=True))
            pixels = recipe.image_size**2 * recipe.batch_size * branch.about.relative_cost(recipe.to_dict())
            found[branch.model] = FirstSteps(step / pixels, cold)
    return found


def _seconds(settings: Settings) -> float | None:
    """The wall time that the budget gives the search; None without a limit of time."""
    budget = settings.budget
    hours = budget.all_gpu_hours if settings.gpus else None
    limits = [budget.seconds, hours and hours * 3600 / settings.gpus / settings.at_once]
    return min((limit for limit in limits if limit is not None), default=None)


def _timed(job: Mapping[str, Any], at_once: int) -> list[tuple[float, float]]:
    """(seconds of a step, seconds before it) in each process; [] when any of them fails."""
    environment = os.environ | {"PYTHONPATH": python_path(job["modules"])}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )
        for _ in range(at_once)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job))
            process.stdin.close()
            process.stdin = None
        until = time.monotonic() + MOST_SECONDS
        printed = [process.communicate(timeout=max(0.0, until - time.monotonic()))[0] for process in started]
    except (subprocess.TimeoutExpired, BrokenPipeError):
        return []
    finally:
        for process in started:
            process.kill()
            process.wait()
    if any(process.returncode for process in started):
        return []
    return [(row["step"], row["cold"]) for row in (json.loads(text.splitlines()[-1]) for text in printed)]


def take(job: Mapping[str, Any]) -> dict[str, float]:
    """Train a few steps in this process: `step`, the median seconds of one, and `cold`, the seconds before them."""
    began = time.monotonic()
    for module in job["modules"]:
        importlib.import_module(module)
    recipe, dataset = recipes.build(job["recipe"]), from_dict(job["dataset"])
    trainer = make_trainer(job["trainer"], dataset, job["options"])
    trainer.start(recipe)
    trainer.train(WARM_UP)
    cold = time.monotonic() - began
    seconds = []  # without waiting for images, which are decoded once
    while time.monotonic() < began + cold + SECONDS and trainer.step < min(MOST_STEPS, recipe.steps):
        seconds.append(trainer.train(trainer.step + 1).compute_seconds)
    return {"step": statistics.median(seconds), "cold": cold}


if __name__ == "__main__":  # what _timed runs
    start_up_lines.hide()
    print(json.dumps(take(json.load(sys.stdin))))
