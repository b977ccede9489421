"""Where `python -m tuning.train` finds its recipe: a file, a trial of a study, or a run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.recipe import Recipe
from tuning.study import reading
from tuning.tracking.store import RECIPE_FILE, data_of_run, opened


@dataclass(frozen=True)
class Source:
    """A recipe and its origin.

    name, where: of the origin, for the user, such as "trial 7 of street" and the study's folder.
    data: Manifest.data of the data that it was trained on; None if unknown.
    changed: one phrase for each thing at the origin that a recipe cannot say.
    """

    recipe: Recipe
    name: str
    where: str
    data: Mapping[str, Any] | None = None
    changed: tuple[str, ...] = ()


def of_file(path: Path) -> Source:
    """The recipe in a YAML file or a pipeline.config. Raises UserError when it cannot be read or is invalid."""
    given = recipes.read_any(path)
    return Source(given.recipe, str(path), str(path.absolute()), changed=given.changed)


def of_trial(named: str, studies: Path) -> Source:
    """The recipe of the trial STUDY/NUMBER. Raises UserError when there is no such study or trial."""
    name, _, number = named.rstrip("/").rpartition("/")
    if not name or not number.isdecimal():
        raise UserError(
            f"--trial {named}: is not STUDY/NUMBER; give a study's name or folder and a trial's number, like street/7"
        )
    study = reading.read(name.removesuffix("/trials"), studies)
    record = study.record(int(number))
    recipe = recipes.build(dict(record.recipe), where=f"trial {number}")
    changed = (
        ()
        if record.fork is None
        else (f"without the weights of trial {record.fork.of}, step {record.began_at}",)
    )
    name, folder = f"trial {number} of {study.manifest.study}", str(study.folder.absolute())
    return Source(recipe, name, folder, study.manifest.data, changed)


def of_run(run_id: str, tracking_uri: str) -> Source:
    """The recipe of a trial's run in MLflow. Raises UserError when the run has none or the store cannot be read."""
    with opened(tracking_uri) as store, tempfile.TemporaryDirectory() as folder:
        data = data_of_run(store.get_run(run_id))
        if RECIPE_FILE not in [file.path for file in store.list_artifacts(run_id)]:
            raise UserError(
                f"--run {run_id}: has no {RECIPE_FILE}; give the run of a trial, not of its study"
            )
        recipe = recipes.read(Path(store.download_artifacts(run_id, RECIPE_FILE, folder)))
    return Source(recipe, f"MLflow run {run_id}", tracking_uri, data)
