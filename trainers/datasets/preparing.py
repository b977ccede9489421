"""Prepares a source for training: listed, split, checked, converted; or only looked through for what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.formats.format import Format
from trainers.datasets.label_map import write_label_map
from trainers.datasets.listing import Listed, list_source
from trainers.datasets.problems import Problem, Problems
from trainers.datasets.records.parallel_conversion import convert_catalogue
from trainers.datasets.records.shard_workers import ShardWorkers
from trainers.datasets.splits import split_file
from trainers.errors import UserError


def prepare(
    source: str, path: Path, found: Format, folder: Path, on_progress: Callable[[str], None], link: bool
) -> Dataset:
    """The dataset in `folder`, which is empty, of the source at `path`, which is of the format `found`.

    source: what a person named.
    link: TFRecords that are as they should be may be linked to where they lie, not copied.
    Raises UserError when it would spoil training.
    """
    problems = Problems(source)
    list_file = folder / "catalogue.sqlite"
    with ShardWorkers() as workers, Catalogue(list_file) as catalogue:
        listed = list_source(path, found, catalogue, problems, workers.start)
        converted = None
        if link and found.TRAINABLE_IN_PLACE and not listed.notes and not problems.counts:
            converted = convert_catalogue(catalogue, listed.classes, None, problems, workers, on_progress)
        if converted and not problems.counts:
            parts = _linked(converted.parts, catalogue, folder)
        else:
            problems = Problems(source) if converted else problems
            converted = convert_catalogue(catalogue, listed.classes, folder, problems, workers, on_progress)
            parts = converted.parts
        kept = ((part, name) for part, name in catalogue.names() if name not in converted.left_out)
        split_file.write(folder, kept)
    problems.raise_if_unusable(listed.images)
    for name in ("train", "validation"):
        if not parts[name].images:
            raise UserError(
                f"{source}: no image of its {name} part can be used; the first: {problems.summary()[0]}"
            )
    list_file.unlink()
    write_label_map(folder / "label_map.pbtxt", listed.classes)
    return Dataset(
        name=path.stem if path.is_file() else path.resolve().name,
        source=source,
        classes=listed.classes,
        train=parts["train"],
        validation=parts["validation"],
        test=parts.get("test"),
        fingerprint=converted.fingerprint,
        notes=(*listed.notes, *problems.summary()),
    )


def _linked(parts: dict[str, Part], catalogue: Catalogue, folder: Path) -> dict[str, Part]:
    linked = {}
    for name, part in parts.items():
        files = catalogue.files(name)
        links = [folder / f"{name}.tfrecord-{i:05d}-of-{len(files):05d}" for i in range(len(files))]
        for file, at in zip(files, links, strict=True):
            at.symlink_to(file.resolve())
        linked[name] = replace(part, files=tuple(links))
    return linked


def find_problems(
    source: str,
    path: Path,
    found: Format,
    on_problem: Callable[[Problem], None],
    on_progress: Callable[[str], None],
) -> tuple[Listed, Problems]:
    """Tell `listener` of every problem of a source; nothing is kept.

    The Problems that come back say with `refuse` whether the source would spoil training. Raises UserError when it
    cannot even be read.
    """
    problems = Problems(source, on_problem)
    with (
        tempfile.TemporaryDirectory() as folder,
        ShardWorkers() as workers,
        Catalogue(Path(folder) / "catalogue.sqlite") as catalogue,
    ):
        listed = list_source(path, found, catalogue, problems, workers.start)
        convert_catalogue(catalogue, listed.classes, None, problems, workers, on_progress)
    return listed, problems
