"""A search from its settings to its result: the story that `python -m tuning.run` tells."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers.datasets.dataset import Dataset
from trainers.datasets.opening import open_dataset
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning import closing, engine, plan
from tuning.engine import Job, Resources
from tuning.halving import Halving, rung_steps
from tuning.progress import Progress
from tuning.proposer import Proposer
from tuning.search import Search
from tuning.settings import Settings, initial_weights
from tuning.study import Study
from tuning.summary import SummaryFile
from tuning.tracking import Tracking, default_uri


def dry_run(settings: Settings, console: Console) -> int:
    """Print what the search would take. Opens no data, fetches no weights, writes nothing."""
    space = search_spaces.get(settings.space)
    scratch = settings.weights == "none" or (settings.weights == "auto" and settings.preset == "laptop")
    conditions = settings.conditions(InitialWeights(source="none") if scratch else None)
    space.rows(conditions)  # raises if the space is impossible under them
    if settings.data is not None and "://" not in settings.data and not Path(settings.data).exists():
        raise UserError(f"{settings.data}: no such file or folder")
    console.print(f"space    {space.name}: {', '.join(space.detectors)}", highlight=False)
    console.print(f"trials   {settings.trials_or_default}, {settings.workers} at once", highlight=False)
    for line in plan.lines(_plan(settings, space, conditions)):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def run(settings: Settings, trainer: str, words: list[str], console: Console) -> int:
    """Search; the exit code."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    space = search_spaces.get(settings.space)
    weights, messages = initial_weights(settings, space.detectors)
    conditions = settings.conditions(weights)
    space.rows(conditions)  # raises if the space is impossible under them, before anything is written
    _make(settings.studies_dir)
    dataset = open_dataset(settings.data, settings.studies_dir / "data", on_progress=say)
    about = settings.manifest(dataset, space, conditions)
    study = Study.open(settings.studies_dir / about.study, about)
    try:
        say(f"study {study.name} in {study.folder}")
        for note in [describe(dataset), *dataset.notes, *messages]:
            say(note)
        return _search(
            settings, study, space, conditions, Job(trainer, dataset, _options(settings)), words, console
        )
    finally:
        study.close()


def _search(
    settings: Settings,
    study: Study,
    space: Space,
    conditions: Conditions,
    job: Job,
    words: list[str],
    console: Console,
) -> int:
    trials = settings.trials_or_default
    tracking_uri = settings.tracking_uri or default_uri(settings.studies_dir)
    artifacts = None if settings.tracking_uri else settings.studies_dir / "mlruns" / study.name
    tracking = Tracking(study, tracking_uri, artifacts, settings.steps)
    progress, summary = Progress(console), SummaryFile(study)
    search = Search(
        study,
        Proposer(lambda trial: space.suggest(trial, conditions), study.manifest.seed),
        _halving(settings),
        trials,
        space.seeds(conditions),
        observers=(tracking, progress, summary),
    )
    summary.write()
    tracking.start()
    try:
        if not search.exhausted:
            for line in plan.lines(_plan(settings, space, conditions)):
                console.print(line, highlight=False, soft_wrap=True)
            resources = Resources(settings.workers, settings.cpus, settings.gpus, settings.address)
            with progress.follow(search):
                engine.run(search, job, resources)
    finally:
        summary.write()
    untold = tracking.close()
    if untold:
        line = f"MLflow at {tracking_uri} has yet to be told of {untold}; the same command does it later"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    closing.show(study, console, tracking_uri, closing.python_command(words), trials)
    if search.stop_reason is not None:
        console.print(f"stopped by {search.stop_reason}; what is finished is kept", highlight=False)
        return 130
    return 0 if any(record.state in ("completed", "pruned") for record in study.records()) else 1


def describe(dataset: Dataset) -> str:
    """One line on the data."""
    counts = f"{dataset.train.images} training and {dataset.validation.images} validation images"
    return f"data {dataset.name}: {counts} of {', '.join(dataset.classes)}"


def _halving(settings: Settings) -> Halving:
    factor = settings.reduction_factor
    return Halving(rung_steps(settings.steps, factor), factor, quorum=2)


def _options(settings: Settings) -> dict[str, float]:
    return {"cpus": max(1, int(settings.cpus)), "gpu_fraction": settings.gpus}


def _plan(settings: Settings, space: Space, conditions: Conditions) -> plan.Plan:
    fields = [branch.fixed(conditions) for branch in space.branches]
    batches = [max(branch.batch_sizes(conditions)) for branch in space.branches]
    return plan.plan(
        _halving(settings),
        settings.trials_or_default,
        space.detectors,
        max(int(field["image_size"]) for field in fields),
        max(batches),
        settings.workers,
    )


def _make(studies: Path) -> None:
    try:
        studies.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{studies}: cannot be made: {error.strerror}; give another --studies-dir") from None
