"""Simulates, from flags to report; behind `python -m tuning.active`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainers import model as models
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.datasets import arguments
from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from trainers.recipe import Recipe
from tuning.active import curves, recipe_search, report, running, tracking
from tuning.active.outcome import Outcome
from tuning.active.report import Reported
from tuning.active.simulation import Simulation, Step
from tuning.active.training import Job
from tuning.api import searching
from tuning.api.recipes import source as recipe_source
from tuning.execution.engine import Resources
from tuning.search.limits.budget import duration
from tuning.selection import strategies
from tuning.study.data import open_data
from tuning.study.storage.lock import StudyLock
from tuning.tracking.store import default_uri

if TYPE_CHECKING:
    from rich.console import Console

TASK = "detection"  # strategies look at detections
PRESET = "laptop"


@dataclass(frozen=True)
class Asked:
    """The flags of `python -m tuning.active`, checked one by one. cpus, gpus: of each worker."""

    data: str | None
    format: str | None
    group_by: str | None
    strategies: tuple[str, ...]
    control: str
    batch: int
    cycles: int
    initial: int
    candidates: int | None
    seeds: int
    frame_gap: int
    metric: str
    recipe: Path | None
    trial: str | None
    max_steps: int | None
    fine_tune: bool
    search_every: int
    search_trials: int
    workers: int
    cpus: int
    gpus: float
    name: str | None
    studies_dir: Path
    tracking_uri: str | None
    price_per_hour: float | None
    trainer: str | None


def simulate(asked: Asked, console: Console) -> None:
    """Simulate, or go on. Raises UserError for wrong input, before anything is trained."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    names = _names(asked)
    recipe = _recipe(asked)
    reading = arguments.reading(asked.format, asked.group_by)
    asked.studies_dir.mkdir(parents=True, exist_ok=True)
    dataset = open_data(
        tasks.get(TASK), asked.data, asked.studies_dir / "data", on_progress=say, reading=reading
    )
    _check_metric(asked.metric, dataset)
    simulation = Simulation(
        asked.studies_dir / (asked.name or f"active-{dataset.plain_name}"),
        dataset.fingerprint, recipe, names, asked.seeds,
        asked.initial, asked.batch, asked.cycles, asked.candidates, asked.fine_tune, asked.frame_gap,
        asked.search_every, asked.search_trials if asked.search_every else 1,
    )  # fmt: skip
    if asked.search_every:
        recipe_search.space_of(recipe)  # raises
    simulation.check(dataset)
    simulation.begin()
    lock = StudyLock(simulation.folder / "lock")
    lock.acquire()
    try:
        say(f"simulation in {simulation.folder}: {', '.join(names[:-1])} against {names[-1]}")
        say(searching.describe(dataset))
        say(f"{recipe.model}, recipe {recipe.recipe_id}, {recipe.steps} steps at {recipe.image_size} px each")
        options = {"cpus": asked.cpus, "gpu_fraction": asked.gpus}
        job = Job(simulation, dataset, options, asked.trainer)
        resources = Resources(asked.workers, asked.cpus, asked.gpus)
        try:
            done = running.run(job, resources, say, lambda step, outcome: _line(step, outcome, asked.metric))
        except KeyboardInterrupt:
            _close(asked, simulation, running.finished(simulation), say)
            raise
        _close(asked, simulation, done, say)
    finally:
        lock.release()


def _names(asked: Asked) -> tuple[str, ...]:
    """The strategies, the control last."""
    names = (*asked.strategies, asked.control)
    for name in names:
        if "other" in strategies.get(name).needs:
            raise UserError(
                f"--strategy {name} needs a second detector, which a simulation does not have; choose another"
            )
    if asked.control in asked.strategies:
        raise UserError(f"--strategy {asked.control} is also the --control; compare it with another")
    return names


def _recipe(asked: Asked) -> Recipe:
    """The recipe of every training. Raises UserError if it is not a detector's."""
    if asked.recipe is not None:
        recipe = recipe_source.of_file(asked.recipe).recipe
    elif asked.trial is not None:
        recipe = recipe_source.of_trial(asked.trial, asked.studies_dir).recipe
    else:
        there = [
            each for each in models.all_models().values() if each.task == TASK and PRESET in each.presets
        ]
        fastest = min(there, key=lambda each: each.cost.cpu_step_seconds or math.inf)
        recipe = recipes.build({"model": fastest.name, **fastest.presets[PRESET]})
    if (task := models.get(recipe.model).task) != TASK:
        raise UserError(
            f"{recipe.model} is a model of {task}; active learning needs a detector: give another --recipe"
        )
    return recipe.replace(seed=0, **({"steps": asked.max_steps} if asked.max_steps else {}))


def _check_metric(name: str, dataset: Dataset) -> None:
    rising = {
        each: metric for each, metric in tasks.get(TASK).metrics(dataset.classes).items() if metric.bounded
    }
    if name not in rising:
        raise UserError(f"--metric '{name}' is unknown; known are {', '.join(rising)}")


def _line(step: Step, outcome: Outcome, metric: str) -> str:
    if outcome.failure:
        return f"{step}: failed, {outcome.failure}"
    value = outcome.metrics[metric]
    return f"{step}: {metric} {value:.3f} with {outcome.labels} labels ({duration(outcome.seconds)})"


def _close(
    asked: Asked, simulation: Simulation, done: Mapping[Step, Outcome], say: Callable[[str], None]
) -> None:
    """Write the report of the seeds that are complete, log to MLflow, and print the verdict."""
    found = curves.of_outcomes(simulation, done, asked.metric)
    files: list[Path] = []
    if found is None:
        say("no seed is complete yet, so there is nothing to compare")
    else:
        reported = Reported(simulation, done, found, asked.control, asked.metric, asked.price_per_hour)
        files = report.write(reported)
        for sentence in reported.verdicts:
            say(sentence)
        say(f"report in {files[0]}, picture in {files[1]}")
    uri = asked.tracking_uri or default_uri(asked.studies_dir)
    try:
        tracking.log(uri, simulation, done, files)
    except UserError as error:
        say(f"not logged to MLflow: {error}; run the same command again to log it")
