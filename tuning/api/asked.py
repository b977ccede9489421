"""Asked: a search as it was asked for, with its data, and what was chosen where the settings leave it open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import search_spaces
from search_spaces.space import Seed
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from tuning.api import earlier_study, initial_weights
from tuning.api.forecast import first_steps, sizing
from tuning.api.forecast.speed import FirstSteps
from tuning.api.recipes import first as first_recipe
from tuning.api.resolved import Resolved
from tuning.api.settings import Settings
from tuning.search import warm_start
from tuning.search.population.requirements import check_steps
from tuning.study import manifest
from tuning.study.data import open_data, open_folds
from tuning.study.storage import working_copy


@dataclass(frozen=True)
class Asked:
    """A search that is to be run or resumed, with its data.

    folds: further splits of the data. first: the trial of --recipe, if any. messages: for the user, on what was chosen.
    """

    here: Resolved
    dataset: Dataset
    folds: tuple[Dataset, ...]
    start: initial_weights.Resolved
    first: tuple[Seed, ...]
    earlier: warm_start.EarlierStudy | None
    messages: tuple[str, ...]


def asked_for(settings: Settings, say: Callable[[str], None], trainer: str | None = None) -> Asked:
    """Read the data, and choose from them, the weights and the study so far what the settings leave open.

    Writes nothing but the cache of the data.
    """
    space = search_spaces.get(settings.space)
    working_copy.check(settings.studies_dir, settings.storage)
    earlier = earlier_study.asked_for(Resolved(settings, space, settings.conditions(None)))
    given = first_recipe.read(settings.recipe, space) if settings.recipe else None
    if asked := settings.weights != "auto":  # what is wrong with it is said before the data are read
        start = initial_weights.resolve(settings.weights, settings.preset, space.models)
    wanted = tasks.get(space.task), settings.data, settings.studies_dir / "data", settings.subset
    folds = open_folds(
        *wanted, settings.folds, settings.reading, say
    )  # first: what has none is refused at once
    dataset = open_data(*wanted, say, settings.reading)
    folder = settings.studies_dir / settings.study_name(dataset)
    working_copy.refresh(folder)
    seed, settings = settings.seed, as_begun(settings, folder)
    own_data = initial_weights.own_data(settings.data)
    if not asked:
        choice = given.weights(settings.weights, space) if given else settings.weights
        source = initial_weights.wanted(choice, settings.preset, own_data)
        start = initial_weights.resolve(source, settings.preset, space.models, asked=False)
    if begun := (folder / manifest.NAME).is_file():
        start = start.as_begun(manifest.read(folder / manifest.NAME).weights_part)
    messages = [*start.messages, *start.taken_over(dataset.classes)]
    timed: Mapping[str, FirstSteps] = {}
    if own_data and settings.preset == "laptop" and not begun:
        conditions = settings.conditions(start.weights)
        if settings.max_steps is None:
            timed = first_steps.taken(settings, space, conditions, dataset, say, trainer)
        settings, reasons = sizing.fitted(settings, space, conditions, dataset, timed)
        messages += reasons
    if settings.seed != seed:
        messages.append(f"--seed {seed} has no effect: the study was begun with --seed {settings.seed}")
    here = Resolved(settings, space, settings.conditions(start.weights), timed)
    first: tuple[Seed, ...] = ()
    if given is not None:
        trial, message = given.first_trial(space, here.conditions)
        first, messages = (trial,), [*messages, message]
    return Asked(here, dataset, folds, start, first, earlier, tuple(messages))


def as_begun(settings: Settings, folder: Path) -> Settings:
    """The settings with which the study in `folder` goes on, if there is one: its seed, on which recipes and brackets
    depend, and, where they are left to this program, its steps, image size, batch size and initial weights: the
    defaults may have changed. Raises UserError for other steps of a population.
    """
    path = folder / manifest.NAME
    if not path.is_file():
        return settings
    begun = manifest.read(path)
    check_steps(begun.scheduler, begun.max_steps, settings.max_steps)
    return dataclasses.replace(
        settings,
        seed=begun.seed,
        max_steps=begun.max_steps if settings.max_steps is None else settings.max_steps,
        image_size=begun.image_size if settings.image_size is None else settings.image_size,
        batch_size=begun.batch_size if settings.batch_size is None else settings.batch_size,
        weights=begun.weights if settings.weights == "auto" else settings.weights,
    )
