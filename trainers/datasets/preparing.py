"""Prepares a source for training: lists it, splits it, checks it and converts it to TFRecord shards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.dataset import MOST_TRAINED_BOXES, Dataset, Part
from trainers.datasets.formats.format import Reading
from trainers.datasets.formats.recognition import Recognised
from trainers.datasets.label_map import write_label_map
from trainers.datasets.listing import list_source
from trainers.datasets.problems import Problems
from trainers.datasets.records.parallel_conversion import convert_catalogue
from trainers.datasets.records.shard_workers import ShardWorkers
from trainers.datasets.splits import split_file
from trainers.errors import UserError


def prepare(
    source: str,
    path: Path,
    found: Recognised,
    reading: Reading,
    folder: Path,
    on_progress: Callable[[str], None],
    link: bool,
) -> Dataset:
    """Convert the source at `path`, which has the format `found`, into the empty `folder`.

    source: the source as the user named it.
    link: link to TFRecord files that need no change instead of copying them.
    Raises UserError if the source is unusable.
    """
    problems = Problems(source)
    list_file = folder / "catalogue.sqlite"
    with ShardWorkers() as workers, Catalogue(list_file) as catalogue:
        listed = list_source(path, found, reading, catalogue, problems, workers)
        converted = None
        if link and found.format.TRAINABLE_IN_PLACE and listed.as_stored and not problems.counts:
            converted = convert_catalogue(catalogue, listed.classes, None, problems, workers, on_progress)
        if converted and not problems.counts:
            parts = _linked(converted.parts, catalogue, folder)
        else:
            problems = Problems(source) if converted else problems
            converted = convert_catalogue(catalogue, listed.classes, folder, problems, workers, on_progress)
            parts = converted.parts
        kept = ((part, name) for part, name in catalogue.names() if name not in converted.left_out)
        split_file.write(folder, kept)
        cut = catalogue.crowded("train", MOST_TRAINED_BOXES)
    problems.raise_if_unusable(listed.images)
    for name in ("train", "validation"):
        if not parts[name].images:
            raise UserError(
                f"{source}: no usable image in its {name} part; first problem: {problems.summary()[0]}"
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
        notes=(*listed.notes, *problems.summary(), *_cut_note(*cut)),
    )


def _cut_note(images: int, most: int) -> tuple[str, ...]:
    if not images:
        return ()
    of_each = f"training uses the first {MOST_TRAINED_BOXES} of each, evaluation all"
    return (f"{images} training images have more than {MOST_TRAINED_BOXES} boxes (up to {most}): {of_each}",)


def _linked(parts: dict[str, Part], catalogue: Catalogue, folder: Path) -> dict[str, Part]:
    """The parts with links in `folder` to the source's own TFRecord files."""
    linked = {}
    for name, part in parts.items():
        files = catalogue.files(name)
        links = [folder / f"{name}.tfrecord-{i:05d}-of-{len(files):05d}" for i in range(len(files))]
        for file, at in zip(files, links, strict=True):
            at.symlink_to(file.resolve())
        linked[name] = replace(part, files=tuple(links))
    return linked
