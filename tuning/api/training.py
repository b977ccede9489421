"""Trains one recipe to its last step, in this process, as a study of one trial."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.space import Seed
from trainers import model as models
from trainers import task as tasks
from trainers.datasets import arguments
from trainers.datasets.dataset import Dataset, Part
from trainers.errors import UserError
from trainers.recipe import Recipe
from tuning.api import searching
from tuning.api.final_report import python_command
from tuning.api.recipes.source import Source
from tuning.api.searching import Ended
from tuning.callbacks.pictures import Pictures
from tuning.callbacks.progress import Progress
from tuning.callbacks.summary import SummaryFile
from tuning.execution.engine import stopped_by_signals
from tuning.execution.environment import Share
from tuning.execution.trial_source import TrialSource, assignment_of
from tuning.execution.worker import Trainers, Worker
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.full_training import FullTraining
from tuning.search.search import Search
from tuning.study import manifest
from tuning.study.data import open_data, reopen, write_split
from tuning.study.manifest import Manifest
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.tracking.callback import Tracking
from tuning.tracking.identity import tell_copy_apart
from tuning.tracking.store import default_uri

EVALUATIONS = 10  # evenly spaced, each with a checkpoint


@dataclass(frozen=True)
class Training:
    """The settings of a training.

    source: the recipe and its origin. max_steps: instead of the recipe's.
    data: instead of the source's. format, group_by: how to read `data`. all_data: train on the validation images too.
    study: its name; None for a name made from recipe and data.
    threads, gpus: CPU threads, and GPUs or a fraction of one, for TensorFlow.
    """

    source: Source
    studies_dir: Path
    max_steps: int | None = None
    data: str | None = None
    format: str | None = None
    group_by: str | None = None
    all_data: bool = False
    study: str | None = None
    tracking_uri: str | None = None
    threads: int = 1
    gpus: float = 0.0

    @property
    def recipe(self) -> Recipe:
        """The recipe, with `max_steps` if given."""
        return self.source.recipe.replace(steps=self.max_steps) if self.max_steps else self.source.recipe


def run(asked: Training, trainer: str | None, console: Console) -> Ended:
    """Train the recipe, or resume its training.

    trainer: factory, "module:callable", instead of the model's own. console: where progress is printed.
    Raises UserError when the user's input is wrong.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    models.check_gpus([asked.recipe.model], asked.gpus, "--gpus")
    asked.studies_dir.mkdir(parents=True, exist_ok=True)
    cache = asked.studies_dir / "data"
    known = asked.source.data
    task = tasks.get(models.get(asked.recipe.model).task)
    if asked.data is None and known is not None:
        if asked.format is not None or asked.group_by is not None:
            raise UserError(
                f"--format and --group-by need --data; {asked.source.name} has its data as its study read them"
            )
        dataset = reopen(task, known, cache, whole=asked.all_data)
        share = 1.0 if asked.all_data else float(known.get("subset", 1.0))
        account = manifest.of_data(
            dataset, known.get("given"), share, known.get("format"), known.get("group_by")
        )
    else:
        reading = arguments.reading(asked.format, asked.group_by)
        dataset = open_data(task, asked.data, cache, on_progress=say, reading=reading)
        account = manifest.of_data(dataset, asked.data, format=asked.format, group_by=asked.group_by)
        if known is not None and known["fingerprint"] != dataset.fingerprint:
            say(f"--data {asked.data} is not the data that {asked.source.name} was trained on")
    if asked.all_data:
        dataset, note = with_all_images(dataset)
        say(note)
    about = _manifest(asked, dataset, account)
    folder = asked.studies_dir / about.study
    _check_same(folder, about)
    study = Study.open(folder, about)
    try:
        say(
            f"recipe {asked.recipe.recipe_id} of {asked.source.name}, {asked.recipe.steps} steps, in {folder}"
        )
        if asked.source.changed:
            say(f"changed in the recipe: {', '.join(asked.source.changed)}")
        say(searching.describe(dataset))
        if not asked.all_data:
            write_split(dataset, folder)
        options = {"cpus": asked.threads, "gpu_fraction": asked.gpus}
        factories = {asked.recipe.model: trainer} if trainer else None
        worker = Worker(Trainers(factories, dataset, options), task.name)
        return _train(asked, study, worker, dataset, console)
    finally:
        study.close()


def with_all_images(dataset: Dataset) -> tuple[Dataset, str]:
    """The dataset with its validation images added to training, and a note on what it is then evaluated on."""
    files = (*dataset.train.files, *dataset.validation.files)
    images = dataset.train.images + dataset.validation.images
    measured = dataset.test or dataset.validation
    note = f"training on all {images} images of training and validation; " + (
        "it is evaluated on the test images"
        if dataset.test
        else "it is evaluated on images that it trains on, so the metrics say nothing about new images"
    )
    return dataclasses.replace(dataset, train=Part(files, images), validation=measured, test=None), note


def train_here(trials: TrialSource, worker: Worker) -> None:
    """Run `trials` in this process, one at a time. When it is stopped, saves and interrupts the unfinished trial."""
    with stopped_by_signals(trials):
        while (record := trials.propose()) is not None:
            worker.begin(assignment_of(trials, record))
            while trials.report(worker.step()):
                pass
        if trials.over and trials.fatal_result is None:
            worker.keep()
    trials.interrupt()
    if trials.fatal_result is not None:
        raise UserError(trials.fatal_result.reason)


def _train(asked: Training, study: Study, worker: Worker, dataset: Dataset, console: Console) -> Ended:
    recipe, source = asked.recipe, asked.source
    uri = asked.tracking_uri or default_uri(asked.studies_dir)
    artifacts = None if asked.tracking_uri else asked.studies_dir / "mlruns" / study.name
    share = Share(asked.threads, asked.gpus)
    if copied := tell_copy_apart(study, uri):
        console.print(copied, highlight=False, soft_wrap=True, markup=False)
    tracking = Tracking(study, uri, artifacts, recipe.steps, share)
    pictures = Pictures(study, dataset, tracking.drawn, models.modules_of([recipe.model]))
    progress, summary = Progress(console), SummaryFile(study)
    search = Search(
        study,
        RandomSampler(SamplerContext(lambda trial: recipe, recipe.seed, study.objective)),
        FullTraining(evaluations(recipe.steps)),
        trials=1,
        seeds=[Seed(source.name, source.where, {}, ())],
        callbacks=(tracking, progress, summary, pictures),
    )
    summary.write()
    tracking.start()
    pictures.start()
    try:
        with progress.follow(search):
            train_here(search, worker)
    finally:
        summary.write()
        pictures.close()
    unlogged = tracking.close()
    _close(study, console, uri, unlogged)
    return Ended(study.folder, search.stop_reason, None, study.record(0).state != "completed")


def evaluations(steps: int) -> tuple[int, ...]:
    """The steps, rising, at which a training of so many steps is evaluated and saved."""
    return tuple(sorted({math.ceil(steps * part / EVALUATIONS) for part in range(1, EVALUATIONS + 1)}))


def _manifest(asked: Training, dataset: Dataset, account: Mapping[str, Any]) -> Manifest:
    recipe = asked.recipe
    everything = "-all" if asked.all_data else ""
    return Manifest(
        study=asked.study or f"recipe-{recipe.recipe_id}-{dataset.plain_name}{everything}",
        space=recipe.model,
        task=models.get(recipe.model).task,
        objective=tasks.get(models.get(recipe.model).task).default_objective,
        space_hash=f"recipe {recipe.recipe_id}{everything}",
        data=dict(account) | {"all": asked.all_data},
        preset="laptop" if recipe.weights.source == "none" else "zoo",
        max_steps=recipe.steps,
        image_size=recipe.image_size,
        precision=recipe.to_dict().get("precision", "float32"),
        batch_size=recipe.batch_size,
        weights=recipe.weights.source,
        reduction_factor=3,
        seed=recipe.seed,
        versions=manifest.versions(),
    )


def _check_same(folder: Path, about: Manifest) -> None:
    path = folder / "study.json"
    if path.exists() and (there := manifest.read(path)).space_hash != about.space_hash:
        is_recipe = there.space_hash.startswith("recipe ")
        what = f"a training of {there.space_hash}" if is_recipe else "a search"
        raise UserError(f"{folder}: is {what}, not a training of {about.space_hash}; give another --study")


def _close(study: Study, console: Console, uri: str, unlogged: str | None) -> None:
    def say(name: str, text: str) -> None:
        console.print(f"{name:<12}{text}", highlight=False, soft_wrap=True, markup=False)

    if unlogged:
        say("MLflow", f"not yet logged to {uri}: {unlogged}; run the command again to sync")
    record, folder = study.record(0), study.trial_folder(0)
    assert record.verdict is not None
    say(record.state, record.verdict.reason)
    if record.rungs:
        say(study.objective.name, f"{record.value:.3f} at step {record.step}")
    if newest := newest_checkpoint(folder):
        say("checkpoint", str(newest[1]))
    python = Path(python_command([])[0])
    say("see it", f"{python.with_name('mlflow')} ui --backend-store-uri {shlex.quote(uri)}")
    if record.state == "completed":
        say("serve it", f"{python} -m tuning.promote {shlex.quote(str(study.folder))}")
    elif record.state == "failed":
        say("retry", "give another --study")
