"""Opens whatever `--data` names as a Dataset: the toy city, or labelled images, converted once and cached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainers.datasets.building import built
from trainers.datasets.dataset import Dataset
from trainers.datasets.toy_city import generating
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.errors import UserError

TOY_CITY = "toy-city"


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
    if source in (None, TOY_CITY):
        return open_toy_city(ToyCity(), cache, on_progress=on_progress)
    raise UserError(f"{source}: no such folder")


def open_toy_city(city: ToyCity, cache: Path, *, on_progress: Callable[[str], None] = _quietly) -> Dataset:
    """The city with these settings."""

    def build(folder: Path) -> Dataset:
        on_progress(f"drawing a toy city of {city.train_images} + {city.validation_images} images")
        return generating.generate(city, folder)

    return built(cache, generating.folder_name(city), build)
