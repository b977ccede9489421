"""Opens whatever `--data` names as a Dataset: the toy city, or labelled images, converted once and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from trainers.datasets.building import built
from trainers.datasets.catalogue import Catalogue
from trainers.datasets.conversion import convert
from trainers.datasets.dataset import Dataset
from trainers.datasets.formats import recognise
from trainers.datasets.formats.files import walk
from trainers.datasets.formats.format import Format
from trainers.datasets.label_map import write_label_map
from trainers.datasets.problems import Problems
from trainers.datasets.splitting import split
from trainers.datasets.toy_city import generating
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.errors import UserError

TOY_CITY = "toy-city"
_VERSION = 1  # of the conversion: what an older one has cached is not used


def _quietly(message: str) -> None:
    """Say nothing."""


def open_dataset(
    source: str | None, cache: Path, *, on_progress: Callable[[str], None] = _quietly
) -> Dataset:
    """The dataset that `source` names, ready to train on.

    source: None or "toy-city" for generated scenes; else a path.
    cache: folder for TFRecord files made from sources; a second opening of a source finds them there.
    on_progress: is told in one line what takes a while.

    Raises UserError when the source is not there, is not understood, or would spoil training.
    """
    if source is None or source == TOY_CITY:
        return open_toy_city(ToyCity(), cache, on_progress=on_progress)
    path = Path(source).expanduser()
    found = recognise(path)
    resolved = path.resolve()
    name = resolved.stem if path.is_file() else resolved.name

    def build(folder: Path) -> Dataset:
        on_progress(f"reading {source} as {found.TITLE}")
        return _converted(source, name, path, found, folder, on_progress)

    return built(cache, f"{name}-{_state(resolved)}", build)


def _state(path: Path) -> str:
    """Twelve digits that change when a file of the source does; no contents are read."""
    state = hashlib.sha256(f"{_VERSION} {path}".encode())
    for file in walk(path) if path.is_dir() else (path,):
        about = file.stat()
        state.update(f"{file}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return state.hexdigest()[:12]


def _converted(
    source: str, name: str, path: Path, found: Format, folder: Path, on_progress: Callable[[str], None]
) -> Dataset:
    problems = Problems()
    list_file = folder / "catalogue.sqlite"
    with Catalogue(list_file) as catalogue:
        opened = found.read(path, problems)
        catalogue.fill(opened, source)
        classes = opened.classes or tuple(catalogue.images_by_class())
        images = sum(catalogue.counts().values())
        problems.refuse_if_over_limit(source, images + problems.affected)
        if not images:
            raise UserError(f"{source}: there are no labelled images in it")
        if not classes:
            raise UserError(f"{source}: {images} images, but not one box; there is nothing to learn")
        split_note = split(catalogue, source)
        parts, fingerprint = convert(
            catalogue, classes, folder, problems, opened.turned_by_default, on_progress
        )
        problems.refuse_if_over_limit(source, images)
    list_file.unlink()
    write_label_map(folder / "label_map.pbtxt", classes)
    return Dataset(
        name=name,
        source=source,
        classes=classes,
        train=parts["train"],
        validation=parts["validation"],
        test=parts.get("test"),
        fingerprint=fingerprint,
        notes=(*opened.notes, *([split_note] if split_note else []), *problems.summary()),
    )


def open_toy_city(city: ToyCity, cache: Path, *, on_progress: Callable[[str], None] = _quietly) -> Dataset:
    """The city with these settings."""

    def build(folder: Path) -> Dataset:
        on_progress(f"drawing a toy city of {city.train_images} + {city.validation_images} images")
        return generating.generate(city, folder)

    return built(cache, generating.folder_name(city), build)
