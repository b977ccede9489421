"""The data of a study: opening it again, as the search saw it or without its --subset; and its split.csv."""

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
    """The dataset that `about` (Manifest.data) describes.

    cache: folder for converted images. given: where the data are now; None for where they were.
    whole: return all images even if the study used a subset (the subset's fingerprint is still checked).
    Raises UserError when the data are missing or have changed.
    """
    source = given if given is not None else about["given"]
    share = float(about.get("subset", 1.0))
    dataset = task.open_data(source, cache, share)
    if dataset.fingerprint != about["fingerprint"]:
        raise UserError(
            f"{dataset.source}: is not the data that the study was begun with; give that as --data"
        )
    return task.open_data(source, cache) if whole and share < 1 else dataset


def write_split(dataset: Dataset, folder: Path) -> None:
    """Write `split.csv`, which says which image is in which part of the data, into a study's folder, once."""
    if dataset.train.files and not (folder / split_file.NAME).exists():
        split_file.write(folder, split_file.rows(dataset))
