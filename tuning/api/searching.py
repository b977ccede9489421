"""Runs a search from settings to result; behind `tuning.search` and `python -m tuning.run`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.space import Seed
from trainers import model as models
from trainers.datasets.dataset import Dataset
from tuning.api import final_report
from tuning.api.asked import asked_for
from tuning.api.deployment import costing
from tuning.api.forecast import plan
from tuning.api.resolved import Resolved
from tuning.api.settings import Settings
from tuning.callbacks.metrics import Metrics
from tuning.callbacks.pictures import Pictures
from tuning.callbacks.progress import Progress
from tuning.callbacks.retention import Retention
from tuning.callbacks.summary import SummaryFile
from tuning.callbacks.uploads import Uploads
from tuning.execution import engine, stored_data
from tuning.execution.engine import Job, Resources
from tuning.execution.environment import Share
from tuning.search import sampler as samplers
from tuning.search import warm_start
from tuning.search.callback import Callback
from tuning.search.constraints.served_costs import ServedCosts
from tuning.search.known import KnownResults
from tuning.search.limits.budget import Spending
from tuning.search.limits.meter import Meter
from tuning.search.population.bandit import explorer_of
from tuning.search.search import Search
from tuning.search.space_adapter import SpaceAdapter
from tuning.search.warm_start import WarmStart
from tuning.stores import weights as stored_weights
from tuning.study.data import write_split
from tuning.study.storage.opening import create_folder
from tuning.study.study import Study
from tuning.tracking.callback import Tracking
from tuning.tracking.identity import tell_copy_apart
from tuning.tracking.store import default_uri


@dataclass(frozen=True)
class Ended:
    """How a search ended.

    folder: of the study. stopped_by: "Ctrl-C" or a signal's name, None if it was not stopped.
    limit: of the budget, that was reached, None without. all_failed: whether every trial of the study has failed.
    """

    folder: Path
    stopped_by: str | None
    limit: str | None
    all_failed: bool


def run(
    settings: Settings,
    console: Console,
    words: Sequence[str] = (),
    trainer: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> Ended:
    """Run or resume a search.

    console: where progress and results are printed. words: the command-line arguments of this search, for the commands
        that are printed; () if it was started from Python.
    trainer: factory, "module:callable", instead of the models' own. callbacks: in addition to this package's own.
    Raises UserError when the user's input is wrong, before anything is written.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    asked = asked_for(settings, say, trainer)
    here, dataset, messages = asked.here, asked.dataset, list(asked.messages)
    settings, space = here.settings, here.space
    about = settings.manifest(dataset, space, here.conditions, asked.start.zoo_sha256)
    folder = settings.studies_dir / about.study
    costs = costing.costs_of(settings, space, here.conditions, dataset, folder, say, trainer)
    create_folder(settings.studies_dir)  # only now: wrong data must leave no folder behind
    adapter = SpaceAdapter(space, here.conditions)
    warm = None
    if asked.earlier is not None:
        warm = warm_start.warm_start(asked.earlier, about, adapter)
        messages.append(warm.message)
    study = Study.open(folder, about, settings.accept_space_change, say=say)
    try:
        say(f"study {study.name} in {study.folder}")
        if copied := tell_copy_apart(study, settings.tracking_uri or default_uri(settings.studies_dir)):
            say(copied)
        write_split(dataset, study.folder)
        if costs.architectures:
            costs.write(study.folder)
        if settings.early_images < dataset.validation.images:
            messages.append(
                f"rungs before the last are measured on {settings.early_images} of the validation images "
                "(--early-images)"
            )
        for note in [describe(dataset), *dataset.notes, *messages]:
            say(note)
        options: dict[str, Any] = {"cpus": max(1, int(settings.cpus)), "gpu_fraction": settings.gpus}
        options |= {"xla": True} if settings.xla else {}
        options |= {"zoo_sha256": study.manifest.zoo_sha256} if asked.start.zoo_sha256 else {}
        job = Job(
            space.task,
            dataset,
            options,
            factories=dict.fromkeys(space.models, trainer) if trainer else None,
            modules=models.modules_of(space.models),
            early_images=settings.early_images,
            save_seconds=settings.save_every,
            store=(study.stored.store.uri, study.name, study.manifest.id) if study.stored else None,
            folds=asked.folds,
        )
        if study.stored is not None:
            for each in (dataset, *asked.folds):
                stored_data.upload(each, study.stored.store, say)
            if asked.start.published:
                uploaded = stored_weights.upload(space.models, study.stored.store, say)
                job = dataclasses.replace(job, weights=uploaded)
        return _search(here, study, asked.first, warm, costs, job, list(words), console, callbacks)
    finally:
        study.close()


def _search(
    here: Resolved,
    study: Study,
    first: Sequence[Seed],
    warm: WarmStart | None,
    costs: ServedCosts,
    job: Job,
    words: list[str],
    console: Console,
    extra_callbacks: Sequence[Callback],
) -> Ended:
    settings, space, budget = here.settings, here.space, here.settings.budget
    uri = settings.tracking_uri or default_uri(settings.studies_dir)
    artifacts = None if settings.tracking_uri else settings.studies_dir / "mlruns" / study.name
    spending = Spending(Meter(study, settings.gpus), budget, settings.steps)
    share = Share(max(1, int(settings.cpus)), settings.gpus, settings.price)
    command = shlex.join(final_report.python_command(words)) if words else ""
    tracking = Tracking(study, uri, artifacts, settings.steps, share, command)
    pictures = Pictures(study, job.dataset, tracking.drawn, job.modules)
    progress, summary = Progress(console, spending), SummaryFile(study)
    retention = Retention(study, settings.keep_checkpoints)
    uploads = Uploads(study, (pictures.ended, tracking.drawn_of))
    on_cluster = () if settings.address is None else (Metrics(study, spending.meter, settings.price),)
    adapter = SpaceAdapter(space, here.conditions, study.manifest.space_since)
    context = samplers.SamplerContext(
        lambda trial: space.suggest(trial, here.conditions),
        study.manifest.seed,
        study.objective,
        adapter.adapt,
    )
    sampler = samplers.make(settings.sampler, context)
    seeds = [*first, *space.seeds(here.conditions)]
    if warm is not None:
        seeds = [*warm.seeds, *seeds]
        for prior in warm.prior_trials:
            sampler.learn(prior)
    sampler, seeds = costing.within_limits(sampler, seeds, costs, settings.limits, space, here.conditions)
    search = Search(
        study,
        sampler,
        settings.new_scheduler(),
        budget.trials and budget.trials - settings.trainings_again,
        seeds,
        callbacks=(tracking, progress, summary, pictures, retention, uploads, *on_cluster, *extra_callbacks),
        spending=spending,
        known=KnownResults(warm.known if warm is not None else ()),
        costs=costs,
        confirm=settings.trainings_again,
        folds=settings.folds,
        worth=settings.until_converged,
        explorer=explorer_of(
            settings.scheduler, lambda trial: space.suggest(trial, here.conditions), study.manifest.seed
        ),
    )
    summary.write()
    tracking.start()
    pictures.start()
    try:
        if not search.exhausted:
            planned = here.plan(study.records())
            for line in [here.first_trials(planned.trials), *plan.lines(planned), *here.cost_lines()]:
                console.print(line, highlight=False, soft_wrap=True)
            size = settings.at_once, settings.cpus, settings.gpus
            resources = Resources(*size, settings.address, settings.follow)
            with progress.follow(search):
                engine.run(search, job, resources)
    finally:
        summary.write()
        uploads.close()
        pictures.close()
    if unlogged := tracking.close():
        line = f"not yet logged to MLflow at {uri}: {unlogged}; run the command again to sync"
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    final_report.show(
        study, console, uri, final_report.python_command(words) if words else None, budget.trials
    )
    states = {record.state for record in study.records()}
    return Ended(study.folder, search.stop_reason, search.limit_reached, states == {"failed"})


def describe(dataset: Dataset) -> str:
    """A line for the user about the data."""
    counts = f"{dataset.train.images} training and {dataset.validation.images} validation images"
    return f"data {dataset.name}: {counts} of {', '.join(dataset.classes)}"
