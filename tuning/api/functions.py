"""The functions of the Python API, which the package `tuning` exports: search, load_study, train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
from rich.console import Console

import search_spaces
from search_spaces.space import Space
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here, gpus_here
from trainers.recipe import Recipe
from tuning.api import searching, training
from tuning.api.forecast import machines
from tuning.api.recipes import source as recipe_source
from tuning.api.recipes.source import Source
from tuning.api.settings import Settings
from tuning.api.study_result import StudyResult
from tuning.search.callback import Callback
from tuning.search.limits.budget import parse_time
from tuning.stores.location import studies_folder
from tuning.study import reading

WIDTH = 140  # columns of progress lines in a notebook


def search(
    space: str | Space,
    data: str | Path | None = None,
    *,
    trials: int | None = None,
    objective: str | None = None,
    time: str | float | None = None,
    studies_dir: str | Path = "studies",
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    **settings: Any,
) -> StudyResult:
    """Search for the best recipe, or resume a search; returns the study.

    space: str or Space. The name of a registered space, or a space (which is then registered).
    data: str or Path. Labelled images: a folder, a file or s3://... Defaults to the task's generated data.
    trials: int. Number of trials, earlier runs of the study included. Defaults to the space's, or to no limit if
        another limit is given.
    objective: str. A metric's name or a weighted sum such as "0.7*mAP+0.3*mAP_small". Defaults to the task's.
    time: float or str. Limit of wall time, in seconds or as text such as "45m" or "2h".
    studies_dir: str or Path. The folder of all studies.
    callbacks: Callback objects, called for every event of the search.
    progress: bool. Print a line for each event, as the command does.
    settings: the other flags of `python -m tuning.run`, with underscores: `format`, `group_by`, `sampler`, `scheduler`,
        `seed`, `max_steps`, `workers`, `study`, `tracking_uri`, ... (tuning.api.settings.Settings).

    Ctrl-C stops the search gracefully: the result then has what is finished, and its `stopped_by` is set.
    Raises UserError when an argument is wrong, before anything is written.
    """
    name = space
    if isinstance(space, Space):
        name = space.name
        if space.name not in search_spaces.names() or search_spaces.get(space.name) is not space:
            search_spaces.register(space)
    if wrong := [each for each in callbacks if not isinstance(each, Callback)]:
        raise UserError(f"callbacks: must be tuning.Callback objects, not {wrong[0]!r}")
    chosen = _settings(
        {
            **settings,
            "space": name,
            "data": _text(data),
            "trials": trials,
            "objective": objective,
            "time": _seconds(time),
            "studies_dir": _path("studies_dir", studies_dir),
        }
    )
    console = _console(progress)
    with machines.planned(chosen, console.print) as there:
        ended = searching.run(there, console, callbacks=callbacks)
    return StudyResult(ended.folder, ended.stopped_by, ended.limit)


def load_study(path: str | Path, studies_dir: str | Path = "studies") -> StudyResult:
    """Open a study; its search may still be running.

    path: str or Path. The study's folder, or its name in `studies_dir`.
    Raises UserError when there is no such study.
    """
    return StudyResult(reading.read(str(_path("path", path)), _path("studies_dir", studies_dir)).folder)


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    data: str | Path | None = None,
    *,
    max_steps: int | None = None,
    format: str | None = None,
    group_by: str | None = None,
    all_data: bool = False,
    study: str | None = None,
    studies_dir: str | Path = "studies",
    tracking_uri: str | None = None,
    threads: int | None = None,
    gpus: float | None = None,
    progress: bool = False,
) -> StudyResult:
    """Train one recipe to its last step, or resume its training; returns it as a study of one trial.

    recipe: Recipe, mapping, str or Path. A recipe, its plain values, the path of a recipe.yaml, or "STUDY/NUMBER" for
        a trial of a study.
    data: as in `search`. Defaults to the trial's data, otherwise to the task's generated data.
    max_steps: int. Number of gradient steps. Defaults to the recipe's.
    format: str. The format to read, if `data` holds several.
    group_by: str. A regular expression; images of whose names it matches the same text, or first group, stay in one part
        when `data` are split.
    all_data: bool. Train on the validation images too.
    study: str. Name of the new study. Defaults to one made from recipe and data.
    tracking_uri: str. URI of an MLflow server. Defaults to mlflow.db in `studies_dir`.
    threads: int. CPU threads. Defaults to all.
    gpus: float. A GPU, or a fraction of one's memory. Defaults to one, if there is one.
    progress: bool. Print a line for each event, as the command does.

    Raises UserError when an argument is wrong.
    """
    studies = _path("studies_dir", studies_dir)
    for name, value in (("max_steps", max_steps), ("threads", threads)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise UserError(f"{name}: must be a whole number from 1 on, not {value!r}")
    asked = training.Training(
        source=_source(recipe, studies),
        studies_dir=studies,
        max_steps=max_steps,
        data=_text(data),
        format=format,
        group_by=group_by,
        all_data=all_data,
        study=study,
        tracking_uri=tracking_uri,
        threads=threads or cpus_here(),
        gpus=min(1.0, gpus_here()) if gpus is None else gpus,
    )
    ended = training.run(asked, None, _console(progress))
    return StudyResult(ended.folder, ended.stopped_by)


def _source(recipe: Recipe | Mapping[str, Any] | str | Path, studies: Path) -> Source:
    if isinstance(recipe, Recipe):
        return Source(recipe, f"recipe {recipe.recipe_id}", "tuning.train")
    if isinstance(recipe, Mapping):
        made = recipes.build(recipe)
        return Source(made, f"recipe {made.recipe_id}", "tuning.train")
    path = _path("recipe", recipe)
    if not path.is_file() and path.name.isdecimal():
        return recipe_source.of_trial(str(path), studies)
    return recipe_source.of_file(path)


def _settings(fields: Mapping[str, Any]) -> Settings:
    """Settings from keyword arguments. Raises UserError for an unknown name or a wrong type."""
    known = Settings.__dataclass_fields__
    if unknown := [name for name in fields if name not in known]:
        raise UserError(f"unknown argument '{unknown[0]}'; known are {', '.join(known)}")
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return pydantic.TypeAdapter(Settings).validate_python(given, strict=False)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].replace("Input should be", "must be")
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {message}, not {first['input']!r}") from None


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise UserError(f"{name}: must be a path, not {value!r}")
    return studies_folder(value) if name == "studies_dir" else Path(value)


def _text(data: Any) -> str | None:
    return None if data is None else str(data) if isinstance(data, str) else str(_path("data", data))


def _seconds(time: Any) -> float | None:
    if isinstance(time, str):
        try:
            return parse_time(time)
        except ValueError:
            raise UserError(f"time: '{time}' is not a duration; give one like 45m, 2h or 1h30m") from None
    if time is not None and not isinstance(time, int | float):
        raise UserError(f"time: must be seconds or a text like 2h, not {time!r}")
    return None if time is None else float(time)


def _console(progress: bool) -> Console:
    return Console(width=WIDTH) if progress else Console(quiet=True)
