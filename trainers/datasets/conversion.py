"""Converts a source to another format in a new folder, which is complete or not there at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from trainers.datasets import arguments, formats
from trainers.datasets.arguments import PathLike
from trainers.datasets.cache import build_once, created, disk_errors_as_user_errors
from trainers.datasets.dataset import Dataset
from trainers.datasets.formats.expressible import Expressible
from trainers.datasets.formats.format import Format, Reading
from trainers.datasets.formats.recognition import recognise
from trainers.datasets.opening import local_path, open_dataset
from trainers.datasets.preparing import prepare
from trainers.datasets.records.reading import read_images
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    folder: where the converted images are.
    images: number of images by part: "train", "validation", and "test" if there is one.
    classes: class names in the order of their label ids 1..N.
    fingerprint: hexadecimal digest of images, boxes and class names.
    notes: remarks, such as remapped label ids, images that were left out, or objects that the format cannot express.
    """

    folder: Path
    images: dict[str, int]
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...]


def convert(
    source: PathLike,
    to: str,
    out: PathLike,
    subset: float = 1.0,
    on_progress: Callable[[str], None] | None = None,
    format: str | None = None,
    group_by: str | None = None,
) -> Conversion:
    """Check a source and write it in another format.

    Args:
        source: as for `trainers.datasets.load`, except None.
        to: the name of a format: tfrecord, coco, pascal_voc, yolo, bdd100k, waymo or dataset_yaml.
        out: the folder to write; it must not exist yet. Its parents are created.
        subset: share of the training images to keep, above 0 and at most 1.
        on_progress: called with one line of text whenever a long step advances.
        format, group_by: as for `trainers.datasets.load`.

    Raises:
        UserError: an argument has a wrong type; `to` is unknown; `out` exists or cannot be written; the source
            cannot be loaded; the format cannot express the classes. Nothing is left in `out`.
    """
    name, kept = arguments.source_name(source), arguments.share("subset", subset)
    target, reading = arguments.folder("out", out), arguments.reading(format, group_by)
    progress = arguments.callback("on_progress", on_progress)
    wanted = formats.named(arguments.text("to", to))
    if target.exists():
        raise UserError(f"{target} already exists; choose a new folder")
    if wanted.TRAINABLE_IN_PLACE and kept == 1 and not is_toy_city(name):
        dataset = _write_tfrecords(name, target, reading, progress)
    else:
        dataset = _write(name, wanted, target, kept, reading, progress)
    return Conversion(
        folder=target,
        images={part: its.images for part, its in dataset.parts.items()},
        classes=dataset.classes,
        fingerprint=dataset.fingerprint,
        notes=dataset.notes,
    )


def _write_tfrecords(
    source: str, target: Path, reading: Reading, on_progress: Callable[[str], None]
) -> Dataset:
    """TFRecord shards with a manifest, as in the cache."""
    path = local_path(source, on_progress)
    found = recognise(path, reading.format)
    return build_once(
        target.absolute().parent,
        target.name,
        lambda folder: prepare(source, path, found, reading, folder, on_progress, link=False),
    )


def _write(
    source: str,
    wanted: Format,
    target: Path,
    subset: float,
    reading: Reading,
    on_progress: Callable[[str], None],
) -> Dataset:
    """Any format, by way of TFRecord shards in a temporary folder beside `target`."""
    parent = target.absolute().parent
    with (
        disk_errors_as_user_errors(target),
        created(parent),
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=parent) as scratch,
    ):
        dataset = open_dataset(
            source, Path(scratch) / "opened", subset=subset, on_progress=on_progress, reading=reading
        )
        written = Path(scratch) / "written"
        written.mkdir()
        expressible = Expressible(wanted)
        images = {name: expressible.of(read_images(part.files)) for name, part in dataset.parts.items()}
        wanted.write(written, dataset.classes, images)
        written.replace(target)
    return replace(dataset, notes=(*dataset.notes, *expressible.notes()))
