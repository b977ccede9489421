"""The data of a study: opening it again, as the search saw it or without its --subset; and its split.csv."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainers.datasets import arguments
from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.format import Reading
from trainers.datasets.splits import split_file
from trainers.datasets.splits.folds import Fold
from trainers.errors import UserError
from trainers.task import Task
from tuning.study.manifest import READ_AS


def open_data(
    task: Task,
    source: str | None,
    cache: Path,
    subset: float = 1.0,
    on_progress: Callable[[str], None] = lambda line: None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
) -> Dataset:
    """The dataset that `--data`, `--subset`, `--format` and `--group-by` name (Task.open_data)."""
    if reading == Reading():
        return task.open_data(source, cache, subset, on_progress)
    return task.open_data(source, cache, subset, on_progress, reading)


def open_folds(
    task: Task,
    source: str | None,
    cache: Path,
    subset: float,
    count: int,
    reading: Reading,
    on_progress: Callable[[str], None] = lambda line: None,
) -> tuple[Dataset, ...]:
    """`count` splits of the same images, in each of which other ones are for validation; the test part stays.

    Raises UserError for generated images, and when there are fewer images, or recordings, than folds.
    """
    folds = (Fold(number, count) for number in range(1, count + 1))
    return tuple(
        open_data(task, source, cache, subset, on_progress, dataclasses.replace(reading, fold=fold))
        for fold in folds
    )


def reopen(
    task: Task, about: Mapping[str, Any], cache: Path, given: str | None = None, whole: bool = False
) -> Dataset:
    """The dataset that `about` (Manifest.data) describes.

    cache: folder for converted images. given: where the data are now; None for where they were.
    whole: return all images even if the study used a subset (the subset's fingerprint is still checked).
    Raises UserError when the data are missing or have changed.
    """
    source = given if given is not None else about["given"]
    share = float(about.get("subset", 1.0))
    reading = arguments.reading(*(about.get(name) for name in READ_AS))
    dataset = open_data(task, source, cache, share, reading=reading)
    if dataset.fingerprint != about["fingerprint"]:
        raise UserError(
            f"{dataset.source}: is not the data that the study was begun with; give that as --data"
        )
    return open_data(task, source, cache, reading=reading) if whole and share < 1 else dataset


def write_split(dataset: Dataset, folder: Path) -> None:
    """Write `split.csv`, which says which image is in which part of the data, into a study's folder, once."""
    if dataset.train.files and not (folder / split_file.NAME).exists():
        split_file.write(folder, split_file.rows(dataset))
