"""The pool of a simulation, the training images without their labels: what all strategies know of it, and picking."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.datasets.pictures.picture import Picture
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images, read_selected_images
from trainers.datasets.splits.perceptual_hash import hash_number
from trainers.files import write_text
from tuning.active.simulation import Simulation, Step
from tuning.selection import picking, strategies
from tuning.selection.network import Network
from tuning.selection.score_store import ScoreStore
from tuning.selection.scored import Scored
from tuning.selection.scoring import Read, networks_for, pixels_of, score_images
from tuning.selection.strategies.random_choice import RANDOM

NAME = "pool.json"
SCORES = "scores.sqlite"


@dataclass(frozen=True)
class Pool:
    """The training images, in order. names: of each. looks: their perceptual hashes, 64 bits."""

    names: Sequence[str]
    looks: Sequence[int]


def index(dataset: Dataset, folder: Path) -> Pool:
    """The pool of a dataset, kept in `folder`."""
    file = folder / NAME
    if not file.is_file():
        rows = [
            (image.name, f"{hash_number(image.image) or 0:016x}")
            for image in read_images(dataset.train.files)
        ]
        write_text(file, json.dumps(rows))
    rows = json.loads(file.read_text(encoding="utf-8"))
    return Pool([name for name, _ in rows], [int(look, 16) for _, look in rows])


def pick(
    simulation: Simulation,
    step: Step,
    dataset: Dataset,
    labelled: Collection[int],
    export: Path,
    cpus: int | None = None,
) -> list[int]:
    """The positions, among the training images, of those that a step labels.

    labelled: positions of the images that have labels. export: of the detector of the step before, which a random choice
    does not need. cpus: for scoring; None for all.
    The scores are kept in the step's folder, so that a killed scoring goes on.
    Raises UserError if the strategy needs what the export has not.
    """
    assert step.strategy is not None
    strategy = strategies.get(step.strategy)
    pool = index(dataset, simulation.folder)
    _, candidates = simulation.candidates_of(step.seed, step.cycle, len(pool.names))
    places = [place for place in candidates.tolist() if place not in labelled]
    seed = int(np.random.SeedSequence((step.seed, step.cycle)).generate_state(1)[0])

    def picked(images: Callable[[], Iterator[Scored]]) -> list[int]:
        names = [pool.names[place] for place in places]
        found = picking.pick(
            strategy, images, names, simulation.batch, len(dataset.classes), seed, simulation.frame_gap, fill=True
        )  # fmt: skip
        return [places[each.place] for each in found]

    if strategy is RANDOM:
        return picked(lambda: (_unseen(pool, place, len(dataset.classes)) for place in places))
    networks, roles = networks_for(strategy, Network(export, cpus))
    with ScoreStore(simulation.path(step) / SCORES) as store:
        for _ in score_images(_missing(dataset, places, store, networks), store, networks):
            pass
        return picked(partial(store.scored, [str(place) for place in places], roles))


def _missing(
    dataset: Dataset, places: Sequence[int], store: ScoreStore, networks: Collection[str]
) -> Iterator[Callable[[], Read]]:
    """How to read those at these positions that have yet to be scored; their names in the store are their positions."""
    wanted = {place: store.missing(str(place), 0, 0, networks) for place in places}
    wanted = {place: missing for place, missing in wanted.items() if missing}
    images = read_selected_images(dataset.train.files, set(wanted))
    for (place, missing), image in zip(sorted(wanted.items()), images, strict=True):
        yield partial(_read, str(place), frozenset(missing), image)


def _read(name: str, networks: frozenset[str], image: CheckedImage) -> Read:
    picture = Picture(image.image, image.format, image.width, image.height)
    return Read(name, 0, 0, image.image_sha256.hex(), networks, picture, pixels_of(picture))


def _unseen(pool: Pool, place: int, classes: int) -> Scored:
    """An image of which only its look is known."""
    boxes, probabilities = np.zeros((0, 4), np.float32), np.zeros((0, classes), np.float32)
    return Scored(str(place), "", pool.looks[place], 0, 0, boxes, probabilities)
