"""Describes a source or an open dataset: counts its images and boxes, and finds duplicate images."""

from __future__ import annotations

from collections.abc import Callable

from trainers.datasets import arguments
from trainers.datasets.arguments import PathLike
from trainers.datasets.dataset import Dataset
from trainers.datasets.description.description import Description, count
from trainers.datasets.opening import DEFAULT_CACHE, load


def describe(
    source: PathLike | Dataset | None = None,
    cache: PathLike = DEFAULT_CACHE,
    on_progress: Callable[[str], None] | None = None,
    format: str | None = None,
    group_by: str | None = None,
) -> Description:
    """Count the images and boxes of a dataset by part, class, size and aspect ratio.

    Args:
        source: a Dataset, or anything that `trainers.datasets.load` accepts.
        cache: folder for converted images.
        on_progress: called with one line of text whenever a long step advances.
        format, group_by: as for `trainers.datasets.load`.

    Raises:
        UserError: an argument has a wrong type, or the source cannot be loaded.
    """
    progress = arguments.callback("on_progress", on_progress)
    if isinstance(source, Dataset):
        return count(source)
    return count(load(source, cache, on_progress=progress, format=format, group_by=group_by))
