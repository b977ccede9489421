"""A study's records in an object store: the driver uploads them once, each machine fetches them once, by fingerprint.

data/<fingerprint>.json, data/<fingerprint>.<upload>/train/00000-train.record, .../train/label_map.pbtxt, ...
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from trainers.datasets.dataset import Dataset, Part
from trainers.errors import UserError
from tuning.stores import folders
from tuning.stores.store import Away, Store

LABEL_MAP = "label_map.pbtxt"
DATA = "data"


def upload(dataset: Dataset, store: Store, say: Callable[[str], None] = lambda line: None) -> None:
    """Upload the dataset's files, unless the store has them. Raises UserError."""
    key = f"{DATA}/{dataset.fingerprint}"
    try:
        if folders.read(store, key) is not None:
            return
        say(f"uploading the data to {store.uri}/{key}")
        with tempfile.TemporaryDirectory(prefix="tuning-data-") as made:
            for name, part in dataset.parts.items():
                folder = Path(made) / name
                folder.mkdir()
                for number, file in enumerate(part.files):
                    (folder / f"{number:05}-{file.name}").symlink_to(file.absolute())
                if part.files and (part.files[0].parent / LABEL_MAP).is_file():
                    (folder / LABEL_MAP).symlink_to((part.files[0].parent / LABEL_MAP).absolute())
            folders.upload(store, key, Path(made), {"name": dataset.name}, once=True)
    except Away as error:
        raise UserError(f"{error}; run the same command again later") from None


def fetch(dataset: Dataset, studies: Path, store: Store) -> Dataset:
    """The dataset with its files on this machine: where the driver has them, or fetched from the store, verified."""
    files = [file for part in dataset.parts.values() for file in part.files]
    if all(file.is_file() for file in files):
        return dataset
    folder = studies / DATA / f"fetched-{dataset.fingerprint}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not folder.is_dir():
            folders.obtain(store, f"{DATA}/{dataset.fingerprint}", folder, "data")
    return _in(dataset, folder)


def _in(dataset: Dataset, folder: Path) -> Dataset:
    def part(name: str, known: Part) -> Part:
        files = [folder / name / f"{number:05}-{file.name}" for number, file in enumerate(known.files)]
        return Part(tuple(files), known.images)

    test = part("test", dataset.test) if dataset.test else None
    return dataclasses.replace(
        dataset,
        train=part("train", dataset.train),
        validation=part("validation", dataset.validation),
        test=test,
    )
