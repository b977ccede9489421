"""Selects: finds the detector, scores the pool, picks, and writes what is to be labelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.datasets.dataset import Dataset
from trainers.datasets.opening import load
from trainers.datasets.records.reading import read_images
from trainers.errors import UserError
from trainers.export import MANIFEST
from tuning.selection import annotating, picking
from tuning.selection.manifest import Manifest
from tuning.selection.network import Network
from tuning.selection.score_store import ScoreStore, store_of
from tuning.selection.scored import Scored
from tuning.selection.scoring import networks_for, score_pool
from tuning.selection.strategy import Strategy

if TYPE_CHECKING:
    from rich.console import Console

SAID = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Selection:
    """What is asked: the flags of `python -m tuning.select`."""

    detector: str
    other: str | None
    pool: Path
    count: int
    strategy: Strategy
    out: Path
    formats: tuple[str, ...]
    labelled: tuple[str, ...]
    threshold: float | None
    seed: int
    frame_gap: int
    studies_dir: Path


def select(asked: Selection, console: Console) -> Manifest:
    """Score the pool, pick, and write `asked.out`. Raises UserError, and then writes nothing but scores."""
    if asked.out.exists():
        raise UserError(f"{asked.out} already exists; choose a new folder")
    if not asked.pool.is_dir():
        raise UserError(f"{asked.pool}: no such folder; --pool takes a folder of images")
    folder, data = _export(asked.detector, asked.studies_dir)
    network = Network(folder)
    if "embeddings" in asked.strategy.needs and not network.embeddings:
        raise UserError(
            f"--strategy {asked.strategy.name} needs embeddings, which {folder} has not; export the trial again with "
            "this version, or choose another strategy"
        )
    networks, roles = networks_for(asked.strategy, network)
    if asked.other is not None:
        second = Network(_export(asked.other, asked.studies_dir)[0])
        if second.classes != network.classes:
            raise UserError(
                f"{asked.other}: has the classes {', '.join(second.classes)}, and {asked.detector} "
                f"{', '.join(network.classes)}; the two must be the same"
            )
        roles["other"] = second.export.export_id
        networks[roles["other"]] = second
    labelled = set().union(*map(_pictures, (*data, *(load(source) for source in asked.labelled))))
    said = [time.monotonic()]

    def progress(done: int, total: int) -> None:
        if time.monotonic() - said[0] >= SAID or done == total:
            said[0] = time.monotonic()
            console.print(f"scored {done} of {total} images", highlight=False)

    with ScoreStore(store_of(asked.pool)) as store:
        pool = score_pool(asked.pool, store, networks, labelled, progress, asked.count)
        if pool.problems:
            console.print(
                f"{len(pool.problems)} images cannot be read and are left out: {pool.problems[0]}",
                highlight=False,
            )
        if pool.labelled:
            console.print(f"{pool.labelled} images have labels already and are left out", highlight=False)

        def images() -> Iterator[Scored]:
            return store.scored(pool.names, roles)

        picked = picking.pick(
            asked.strategy, images, pool.names, asked.count, len(network.classes), asked.seed, asked.frame_gap
        )
        if len(picked) < asked.count:
            console.print(
                f"only {len(picked)} of {asked.count}: all other images look like one of these, or are frames beside it",
                highlight=False,
            )
        chosen = list(store.scored([pool.names[each.place] for each in picked], roles))
        threshold = network.export.threshold if asked.threshold is None else asked.threshold
        return annotating.write(
            asked.out, asked.pool, list(zip(picked, chosen, strict=True)), network.classes, asked.formats,
            asked.strategy, network.export.export_id, asked.seed, threshold,
        )  # fmt: skip


def _export(name: str, studies: Path) -> tuple[Path, list[Dataset]]:
    """The folder of an export, and the data that its detector has seen, if a study says which."""
    if (Path(name) / MANIFEST).is_file():
        return Path(name), []
    from tuning.api.exporting import export_trial
    from tuning.api.promotion import chosen
    from tuning.study import reading
    from tuning.study.data import reopen

    study = reading.read(name, studies)
    record = chosen(study, None)
    trial = study.folder / "trials" / str(record.number)
    about = {"study": study.manifest.study, "trial": record.number}
    folder = export_trial(trial.absolute(), study.manifest.data, about)
    return folder, [reopen(study.task, study.manifest.data, study.folder.parent / "data")]


def _pictures(dataset: Dataset) -> set[str]:
    """The SHA-256 of every image of a dataset, in hexadecimal."""
    return {image.image_sha256.hex() for part in dataset.parts.values() for image in read_images(part.files)}
