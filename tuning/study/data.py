"""The data of a study, opened again: as it was searched on, or the whole of which it was a subset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.datasets.dataset import Dataset
from trainers.datasets.splits import split_file
from trainers.errors import UserError
from trainers.task import Task


def reopen(
    task: Task, about: Mapping[str, Any], cache: Path, given: str | None = None, whole: bool = False
) -> Dataset:
    """The dataset that a study's account of its data (Manifest.data) speaks of.

    cache: for converted images. given: where the data are now, if no longer where they were.
    whole: all of it, where the study was of a subset; its subset must still be the same.
    Raises UserError when it is not there, or is other data.
    """
    source = given if given is not None else about["given"]
    share = float(about.get("subset", 1.0))
    dataset = task.open_data(source, cache, share)
    if dataset.fingerprint != about["fingerprint"]:
        raise UserError(f"{dataset.source}: is not what the study was begun with; give its --data")
    return task.open_data(source, cache) if whole and share < 1 else dataset


def write_split(dataset: Dataset, folder: Path) -> None:
    """Write down in a study's folder which image is in which part, unless it is there: `split.csv`."""
    if dataset.train.files and not (folder / split_file.NAME).exists():
        split_file.write(folder, split_file.rows(dataset))
