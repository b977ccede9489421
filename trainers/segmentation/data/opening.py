"""Opens images and masks as a Dataset: checks it and converts it to TFRecord files, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset
from trainers.datasets.files.paths import shortened
from trainers.datasets.files.walking import file_states
from trainers.datasets.formats import coco
from trainers.datasets.opening import local_path, no_progress
from trainers.datasets.problems import Problems
from trainers.datasets.splits import subsetting
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError
from trainers.segmentation.data.checks import CHECK
from trainers.segmentation.data.sources.source import recognised
from trainers.segmentation.data.storing import store

_VERSION = 2  # of the conversion; results of other versions in the cache are ignored


def open_dataset(
    source: str | None, cache: Path, subset: float = 1.0, on_progress: Callable[[str], None] = no_progress
) -> Dataset:
    """The dataset of a folder of images and masks, of COCO files, of `s3://bucket/prefix`, or of the toy city (None).

    subset: share of the training images to keep, above 0 and at most 1, balanced by the rarest class shown.
    Raises UserError if the source is not such a folder, or is unusable.
    """
    if source is None or is_toy_city(source):
        from trainers.segmentation.data.toy_city import open_toy_city

        return subsetting.subset(open_toy_city(source, cache, on_progress), subset, cache)
    root = local_path(source, on_progress)
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    own_name = root.stem if root.is_file() else root.resolve().name

    def build(folder: Path) -> Dataset:
        found = recognised(root)
        on_progress(f"reading {source} as images and masks of {', '.join(found.classes)}")
        problems = Problems(source, command=CHECK)
        return store(
            found.images(problems),
            found.classes,
            own_name,
            source,
            folder,
            problems,
            found.notes,
        )

    name = f"{shortened(own_name)}-masks-{_state(root)}"
    return subsetting.subset(build_once(cache, name, build), subset, cache)


def _state(root: Path) -> str:
    """12 hexadecimal digits that change when a file of the source changes, by names, sizes and times only."""
    state = hashlib.sha256(f"{_VERSION}".encode())
    for folder in coco.roots(root):  # of a file: the images too
        for line in file_states(folder):
            state.update(line.encode())
    return state.hexdigest()[:12]
