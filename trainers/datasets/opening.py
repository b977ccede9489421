"""Opens whatever `--data` names as a Dataset: the toy city, or labelled images, converted once and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from trainers.datasets.cache import build_once
from trainers.datasets.dataset import Dataset
from trainers.datasets.formats import recognise
from trainers.datasets.formats.files import file_states
from trainers.datasets.formats.format import Format
from trainers.datasets.preparing import prepare
from trainers.datasets.splits import subsetting
from trainers.datasets.toy_city import is_toy_city

_VERSION = 4  # of the conversion: what an older one has cached is not used


def no_progress(message: str) -> None:
    """Say nothing."""


def open_dataset(
    source: str | None, cache: Path, *, subset: float = 1.0, on_progress: Callable[[str], None] = no_progress
) -> Dataset:
    """The dataset that `source` names, ready to train on.

    source: None or "toy-city" for generated scenes, "toy-city:night=1,users=5-20" for others, see
        trainers.datasets.toy_city.naming; else a path or s3://bucket/prefix, in any format of
        trainers.datasets.formats.
    cache: folder for TFRecord files made from sources; a second opening of a source finds them there.
    subset: share of the training images to take, in (0, 1]; see trainers.datasets.splits.subsetting.
    on_progress: is told in one line what takes a while.

    Raises UserError when the source is not there, is not understood, or would spoil training.
    """
    if source is None or is_toy_city(source):
        # what draws takes a while to import, as long as a thousand images take to convert
        from trainers.datasets.toy_city.generating import open_toy_city
        from trainers.datasets.toy_city.naming import parse_city

        return subsetting.subset(open_toy_city(parse_city(source), cache, on_progress), subset, cache)
    path = local_path(source, on_progress)
    found = recognise(path)

    def build(folder: Path) -> Dataset:
        on_progress(f"reading {source} as {found.TITLE}")
        return prepare(source, path, found, folder, on_progress, link=True)

    name = path.stem if path.is_file() else path.resolve().name
    return subsetting.subset(build_once(cache, f"{name}-{_state(path, found)}", build), subset, cache)


def local_path(source: str, on_progress: Callable[[str], None] = no_progress) -> Path:
    """Where `source` lies on this machine, fetched first if it is on S3."""
    if not source.startswith("s3://"):
        return Path(source).expanduser()
    from trainers.datasets.s3 import fetching  # boto3 takes a while to import, and few need it

    return fetching.fetch(source, on_progress)


def _state(path: Path, found: Format) -> str:
    """Twelve digits that change when a file of the source does; no contents are read."""
    state = hashlib.sha256(f"{_VERSION} {found.NAME}".encode())
    for root in found.roots(path):
        for stamp in file_states(root):
            state.update(stamp.encode())
    return state.hexdigest()[:12]
