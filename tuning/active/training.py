"""One step of a simulation, in a worker process: picks the images to label, trains on all labelled ones, evaluates."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainers import model as models
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.errors import TrialFailed, UserError
from trainers.files import write_text
from trainers.recipe import InitialWeights, Recipe
from tuning.active import outcome as outcomes
from tuning.active import pool
from tuning.active.labelled import labelled_part
from tuning.active.outcome import Outcome
from tuning.active.recipe_search import candidates
from tuning.active.simulation import Simulation, Step
from tuning.execution.worker import Assignment, Trainers, Worker
from tuning.selection.strategies.random_choice import RANDOM
from tuning.study.step_result import StepResult
from tuning.study.trial_folder import RECIPE, newest_checkpoint

# in a step's folder
PICKED, DATA, TRIAL, EXPORT = "picked.json", "data", "trial", "export"


@dataclass(frozen=True)
class Job:
    """What all steps share. options: arguments of the trainer's factory. factory: instead of the model's own."""

    simulation: Simulation
    dataset: Dataset
    options: Mapping[str, Any] = field(default_factory=dict)
    factory: str | None = None


def train(job: Job, step: Step) -> Outcome:
    """Do a step, or go on with one that was interrupted, and write its outcome.

    Raises UserError for what the user has to mend; a training that fails is an outcome.
    """
    simulation, began = job.simulation, time.monotonic()
    folder = simulation.path(step)
    (folder / TRIAL).mkdir(parents=True, exist_ok=True)
    added, labelled = _added(job, step), _labelled(simulation, step)
    selecting = time.monotonic() - began
    data = labelled_part(job.dataset, {*labelled, *added}, folder / DATA)
    factories = {simulation.recipe.model: job.factory} if job.factory else None
    trainers = Trainers(factories, data, job.options)
    best, tried = _best_trained(job, step, trainers, folder / TRIAL)
    failure = best.result.reason
    if (
        not failure and step.cycle < simulation.cycles and step.strategy != RANDOM.name
    ):  # scores the pool next
        trainer = trainers(simulation.recipe.model)
        if len(tried) > 1:
            trainer.start(best.recipe, _newest(best.folder))
        try:
            trainer.export(folder / EXPORT)
        except TrialFailed as error:
            failure = error.reason
    found = Outcome(
        len(labelled) + len(added),
        tuple(added),
        {} if failure else dict(best.result.metrics),
        sum(each.result.seconds_training for each in tried),
        selecting,
        time.monotonic() - began,
        failure,
        best.recipe.to_dict() if simulation.searches(step) else None,
        best.folder.relative_to(folder / TRIAL).as_posix(),
    )
    found.write(folder)
    return found


def clean(simulation: Simulation, step: Step) -> None:
    """Remove what no step needs once this one is done; a seed's first detector stays, for strategies added later."""
    folder, before = simulation.path(step), step.before
    shutil.rmtree(folder / DATA, ignore_errors=True)
    for file in folder.glob(f"{pool.SCORES}*"):
        file.unlink()
    if not simulation.fine_tune or step.cycle == simulation.cycles:
        shutil.rmtree(folder / TRIAL, ignore_errors=True)
    if before is not None and before.strategy is not None:
        for name in (TRIAL, EXPORT):
            shutil.rmtree(simulation.path(before) / name, ignore_errors=True)


def _added(job: Job, step: Step) -> list[int]:
    """The positions of the images that this step labels, noted in its folder."""
    simulation, dataset = job.simulation, job.dataset
    file = simulation.path(step) / PICKED
    if not file.is_file():
        if step.before is None:
            picked = simulation.candidates_of(step.seed, 1, dataset.train.images)[0].tolist()
        else:
            export = simulation.path(step.before) / EXPORT
            labelled, cpus = set(_labelled(simulation, step)), job.options.get("cpus")
            picked = pool.pick(simulation, step, dataset, labelled, export, cpus)
        write_text(file, json.dumps(picked))
    found: list[int] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _labelled(simulation: Simulation, step: Step) -> list[int]:
    """The positions of the images that were labelled in the steps before."""
    found: list[int] = []
    while (before := step.before) is not None:
        done = outcomes.read(simulation.path(before))
        assert done is not None
        found, step = [*done.added, *found], before
    return found


def _newest(folder: Path) -> Path:
    """The newest checkpoint in a trial's folder, which must have one."""
    newest = newest_checkpoint(folder)
    assert newest is not None
    return newest[1]


@dataclass(frozen=True)
class _Tried:
    """A candidate of a step, trained to its end."""

    recipe: Recipe
    result: StepResult
    folder: Path


def _best_trained(job: Job, step: Step, trainers: Trainers, folder: Path) -> tuple[_Tried, list[_Tried]]:
    """Train the candidates, in folders of their own within `folder` if there are several; returns the best, and all."""
    simulation = job.simulation
    objective = tasks.get(models.get(simulation.recipe.model).task).objective(None, job.dataset.classes)
    recipes = candidates(simulation, step, objective)
    tried = []
    for number, recipe in enumerate(recipes):
        own = folder / f"candidate-{number}" if len(recipes) > 1 else folder
        own.mkdir(exist_ok=True)
        tried.append(_Tried(recipe, _trained(simulation, step, recipe, trainers, own), own))
    sound = [each for each in tried if not each.result.reason] or tried
    best = max(
        sound, key=lambda each: objective.score(each.result.metrics).key if not each.result.reason else ()
    )
    return best, tried


def _trained(
    simulation: Simulation, step: Step, recipe: Recipe, trainers: Trainers, folder: Path
) -> StepResult:
    """Train a recipe to its last step and evaluate it; resumes from the checkpoint in `folder`."""
    if simulation.fine_tune and step.before is not None:
        done = outcomes.read(simulation.path(step.before))
        assert done is not None
        newest = _newest(simulation.path(step.before) / TRIAL / done.trial)
        weights = InitialWeights(source=str(newest.absolute()), part="full")
        recipe = recipe.replace(weights=weights.model_dump())
    write_text(folder / RECIPE, recipe.to_yaml())
    worker = Worker(trainers, models.get(recipe.model).task)
    worker.begin(Assignment(0, recipe.to_dict(), folder, (recipe.steps,)))
    while True:
        result = worker.step()
        if result.kind == "halt":
            raise UserError(result.reason)
        if result.kind != "progress":
            return result
