"""A search from its settings to its result: the story that `python -m tuning.run` tells."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers.datasets.dataset import Dataset
from trainers.datasets.opening import open_dataset
from trainers.datasets.toy_city import is_toy_city
from trainers.datasets.toy_city.naming import parse_city
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api import closing
from tuning.api.settings import Settings, initial_weights
from tuning.callbacks.pictures import Pictures
from tuning.callbacks.progress import Progress
from tuning.callbacks.retention import Retention
from tuning.callbacks.spending import Spending
from tuning.callbacks.summary import SummaryFile
from tuning.execution import engine
from tuning.execution.engine import Job, Resources
from tuning.execution.environment import Share
from tuning.search import plan, warm_start
from tuning.search.fitting import Fitting
from tuning.search.plan import Plan
from tuning.search.search import Search
from tuning.search.tpe import TPESampler
from tuning.search.warm_start import WarmStart
from tuning.study.data import write_split
from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.store import default_uri


@dataclass(frozen=True)
class Setting:
    """Where the story takes place: what was asked, and the space under the conditions that follow from it."""

    settings: Settings
    space: Space
    conditions: Conditions

    def __post_init__(self) -> None:
        # all that can be refused before anything is read or written
        self.space.rows(self.conditions)
        settings, halving = self.settings, self.settings.halving
        settings.budget.check_fits(settings.gpus, settings.steps, halving.rungs[0])

    def plan(self) -> Plan:
        """What the search will take."""
        pixels = {
            branch.detector: branch.fixed(self.conditions)["image_size"] ** 2
            * max(branch.batch_sizes(self.conditions))
            for branch in self.space.branches
        }
        return plan.plan(
            self.settings.halving,
            self.settings.budget,
            pixels,
            self.settings.at_once,
            self.settings.cpus,
            self.settings.keep_checkpoints,
        )


def dry_run(settings: Settings, console: Console) -> int:
    """Print what the search would take. Opens no data, fetches no weights, writes nothing."""
    space = search_spaces.get(settings.space)
    scratch = settings.weights == "none" or (settings.weights == "auto" and settings.preset == "laptop")
    here = Setting(settings, space, settings.conditions(InitialWeights(source="none") if scratch else None))
    if settings.data is not None and is_toy_city(settings.data):
        parse_city(settings.data)
    elif settings.data is not None and "://" not in settings.data and not Path(settings.data).exists():
        raise UserError(f"{settings.data}: no such file or folder")
    _earlier(settings)  # so that a wrong name is said here too
    planned = here.plan()
    console.print(f"space    {space.name}: {', '.join(space.detectors)}", highlight=False)
    about = "" if settings.budget.trials else "about "
    console.print(f"trials   {about}{planned.trials}, {settings.at_once} at once", highlight=False)
    for line in plan.lines(planned):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def _earlier(settings: Settings) -> warm_start.Earlier | None:
    """What --warm-start names; looked for first, before data are read for minutes."""
    if not settings.warm_start:
        return None
    uri = settings.tracking_uri or default_uri(settings.studies_dir)
    return warm_start.read(settings.warm_start, settings.studies_dir, uri)


def run(settings: Settings, trainer: str, words: list[str], console: Console) -> int:
    """Search; the exit code."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    space = search_spaces.get(settings.space)
    earlier = _earlier(settings)
    weights, messages = initial_weights(settings, space.detectors)
    here = Setting(settings, space, settings.conditions(weights))
    dataset = open_dataset(
        settings.data, settings.studies_dir / "data", subset=settings.subset, on_progress=say
    )
    _make(settings.studies_dir)  # not before: what is no data leaves no folder behind
    about = settings.manifest(dataset, space, here.conditions)
    fitting = Fitting(space, here.conditions)
    start = None
    if earlier is not None:
        start = warm_start.warm_start(earlier, about, fitting)
        messages.append(start.said)
    study = Study.open(settings.studies_dir / about.study, about, settings.accept_space_change)
    try:
        say(f"study {study.name} in {study.folder}")
        write_split(dataset, study.folder)
        if settings.early_images < dataset.validation.images:
            messages.append(
                f"rungs before the last are measured on {settings.early_images} of the validation images "
                "(--early-images)"
            )
        for note in [describe(dataset), *dataset.notes, *messages]:
            say(note)
        options = {"cpus": max(1, int(settings.cpus)), "gpu_fraction": settings.gpus}
        options |= {"xla": True} if settings.xla else {}
        return _search(
            here,
            study,
            start,
            Job(trainer, dataset, options, early_images=settings.early_images),
            words,
            console,
        )
    finally:
        study.close()


def _search(
    here: Setting, study: Study, start: WarmStart | None, job: Job, words: list[str], console: Console
) -> int:
    settings, space, budget = here.settings, here.space, here.settings.budget
    uri = settings.tracking_uri or default_uri(settings.studies_dir)
    artifacts = None if settings.tracking_uri else settings.studies_dir / "mlruns" / study.name
    spending = Spending(study, budget, settings.gpus, settings.steps)
    share = Share(max(1, int(settings.cpus)), settings.gpus, settings.price_per_gpu_hour)
    command = shlex.join(closing.python_command(words))
    tracking = Tracking(study, uri, artifacts, settings.steps, share, command)
    pictures = Pictures(study, job.dataset, tracking.drawn)
    progress, summary = Progress(console, spending.line), SummaryFile(study)
    retention = Retention(study, settings.keep_checkpoints)
    fitting = Fitting(space, here.conditions, study.manifest.space_since)
    sampler = TPESampler(
        lambda trial: space.suggest(trial, here.conditions), study.manifest.seed, fitting.fit
    )
    seeds = space.seeds(here.conditions)
    if start is not None:
        seeds = [*start.seeds, *seeds]
        for lesson in start.lessons:
            sampler.learn(lesson)
    search = Search(
        study,
        sampler,
        settings.halving,
        budget.trials,
        seeds,
        callbacks=(tracking, spending, progress, summary, pictures, retention),
        limit=spending.limit,
    )
    summary.write()
    tracking.start()
    pictures.start()
    try:
        if not search.exhausted:
            for line in plan.lines(here.plan()):
                console.print(line, highlight=False, soft_wrap=True)
            resources = Resources(settings.at_once, settings.cpus, settings.gpus, settings.address)
            with progress.follow(search):
                engine.run(search, job, resources)
    finally:
        summary.write()
        pictures.close()
    if untold := tracking.close():
        line = f"MLflow at {uri} has yet to be told of {untold}; the same command does it later"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    closing.show(study, console, uri, closing.python_command(words), budget.trials)
    if search.stop_reason is not None:
        console.print(f"stopped by {search.stop_reason}; what is finished is kept", highlight=False)
        return 130
    if search.limit_reached is not None:
        console.print(f"ended by {search.limit_reached}; a larger one goes on", highlight=False)
    states = {record.state for record in study.records()}
    return 1 if states == {"failed"} else 0


def describe(dataset: Dataset) -> str:
    """One line on the data."""
    counts = f"{dataset.train.images} training and {dataset.validation.images} validation images"
    return f"data {dataset.name}: {counts} of {', '.join(dataset.classes)}"


def _make(studies: Path) -> None:
    try:
        studies.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{studies}: cannot be made: {error.strerror}; give another --studies-dir") from None
