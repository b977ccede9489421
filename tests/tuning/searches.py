"""A small search as the tests of tuning run it: its space, its study's manifest, and curves in place of training."""

from __future__ import annotations

import math

from curve_trainer import DATASET, CurveTrainer

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.metrics import Metrics
from trainers.objective import Score
from trainers.recipe import Recipe
from tuning.search.callback import Callback
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study import manifest
from tuning.study.manifest import Manifest
from tuning.study.step_result import StepResult
from tuning.study.study import Study

SPACE = search_spaces.get("mobilenet")
CONDITIONS = Conditions(steps=90)
OBJECTIVE = tasks.get("detection").objective(None, DATASET.classes)


def score(mean: float, mean50: float = 0.0, loss: float = math.inf) -> Score:
    """That of an mAP, an mAP50 and a validation loss."""
    return OBJECTIVE.of_values((mean, mean50, loss))


def context(space: Space = SPACE, conditions: Conditions = CONDITIONS, seed: int = 1) -> SamplerContext:
    """What a sampler over the space is made of, without a study."""
    return SamplerContext(lambda trial: space.suggest(trial, conditions), seed, OBJECTIVE)


def about(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "study": "street",
        "space": "mobilenet",
        "space_hash": "abc",
        "data": manifest.of_data(DATASET),
        "preset": "laptop",
        "max_steps": 90,
        "image_size": None,
        "batch_size": None,
        "weights": "none",
        "reduction_factor": 3,
        "seed": 1,
        "versions": manifest.versions(),
        "objective": "mAP",
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def search_of(
    study: Study, trials: int, callbacks: tuple[Callback, ...] = (), seeds: int = 0, **rule: object
) -> Search:
    sampler = TPESampler(context(seed=study.manifest.seed))
    halving = Halving((10, 30, 90), **rule)  # type: ignore[arg-type]
    return Search(study, sampler, halving, trials, SPACE.seeds(CONDITIONS)[:seeds], callbacks)


def run_here(search: Search, steps: int | None = None) -> None:
    """Run a search in this process on analytic curves, one trial at a time; at most `steps` results."""
    while (record := search.propose()) is not None:
        trainer = CurveTrainer(DATASET)
        trainer.start(recipe_of(record.recipe))
        trainer._step = record.step
        while True:
            if steps is not None:
                if steps == 0:
                    return
                steps -= 1
            rungs = search.scheduler.rungs_of(record.number)
            taken = trainer.train(next(rung for rung in rungs if rung > trainer.step))
            metrics: Metrics = trainer.evaluate()
            result = StepResult(
                record.number, trainer.step, "rung", steps=taken.steps, metrics=metrics.flat(),
                seconds_training=trainer.step * 0.1, seconds_overhead=1.0,
            )  # fmt: skip
            if not search.report(result):
                break


def recipe_of(fields: object) -> Recipe:
    return recipes.build(dict(fields))  # type: ignore[call-overload]
