"""Stores images and masks as the TFRecord files of a Dataset: splits them, refuses what cannot be learned from."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from trainers.datasets.catalogue import rank
from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.datasets.problems import Problems
from trainers.datasets.records.fingerprint import Fingerprint
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.datasets.splits import split_file
from trainers.datasets.splits.splitting import VALIDATION_SHARE
from trainers.errors import UserError
from trainers.segmentation.data.masked_image import MaskedImage, decode

PARTS = ("train", "validation", "test")


def store(
    images: Iterable[tuple[str | None, MaskedImage]],
    classes: tuple[str, ...],
    name: str,
    source: str,
    folder: Path,
    problems: Problems,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Write the images, with the part that the source states for each, into the empty `folder`.

    Without a validation part, a fifth of the images of each rarest class shown becomes one; duplicates stay together.
    Within a part, images are in an order of hashes, those of each scored set together.
    notes: remarks on the source, which the dataset keeps.
    Raises UserError if more images have problems than `problems` tolerates, a part is empty, or one class is shown.
    """
    with closing(sqlite3.connect(folder / "images.sqlite")) as index:
        count = _index(images, classes, index)
        problems.raise_if_unusable(count + problems.affected)
        if not count:
            raise UserError(f"{source}: no usable image with a mask")
        _refuse_one_class(index, classes, source)
        note = _split(index)
        parts, fingerprint, rows = _write(index, folder)
    (folder / "images.sqlite").unlink()
    for part in PARTS[:2]:
        if part not in parts:
            raise UserError(f"{source}: no image in its {part} part; at least 2 images are needed")
    split_file.write(folder, rows)
    write_label_map(folder / "label_map.pbtxt", classes)
    return Dataset(
        name=name,
        source=source,
        classes=classes,
        train=parts["train"],
        validation=parts["validation"],
        test=parts.get("test"),
        fingerprint=fingerprint.value(classes),
        notes=(*notes, *([note] if note else []), *problems.summary()),
    )


def _index(
    images: Iterable[tuple[str | None, MaskedImage]], classes: tuple[str, ...], index: sqlite3.Connection
) -> int:
    """Put the images into a table; returns their number."""
    index.execute(
        "CREATE TABLE images (name TEXT, part TEXT, scored TEXT, rank INTEGER, digest TEXT, shown TEXT, data BLOB)"
    )
    count = 0
    for part, image in images:
        shown = ",".join(map(str, image.boxes()))
        row = (image.name, part, image.scored, rank(image.name), f"{image.digest():064x}", shown)
        index.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, image.encode(classes)))
        count += 1
    return count


def _refuse_one_class(index: sqlite3.Connection, classes: tuple[str, ...], source: str) -> None:
    shown = Counter(
        place for (text,) in index.execute("SELECT shown FROM images") for place in text.split(",")
    )
    if problem := one_class(map(int, shown), classes, source):
        raise UserError(problem)


def one_class(shown: Iterable[int], classes: tuple[str, ...], source: str) -> str | None:
    """Why masks that show only the classes with these indices are useless; None if they show several."""
    indices = set(shown)
    if len(indices) != 1:
        return None
    return (
        f"{source}: every pixel of all masks is {classes[indices.pop()]}; there is nothing to tell apart, check the "
        "colour map"
    )


def _split(index: sqlite3.Connection) -> str | None:
    """Give every image a part; returns a note for the user if the source's own parts are not used."""
    stated = dict(index.execute("SELECT part, COUNT(*) FROM images GROUP BY part").fetchall())
    if stated.get("validation"):
        index.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
        return None
    index.execute("UPDATE images SET part = 'train' WHERE part IS NULL")
    groups: dict[str, dict[str, int]] = {}  # rarest class shown -> digest -> images
    frequency: Counter[str] = Counter()
    rows = index.execute(
        "SELECT shown, digest FROM images WHERE part = 'train' ORDER BY rank, name"
    ).fetchall()
    for shown, _ in rows:
        frequency.update(shown.split(","))
    for shown, digest in rows:
        rarest = min(shown.split(","), key=lambda place: (frequency[place], place))
        of_class = groups.setdefault(rarest, {})
        of_class[digest] = of_class.get(digest, 0) + 1
    chosen: list[tuple[str]] = []
    owed = 0.0
    for of_class in (groups[place] for place in sorted(groups)):
        for digest, size in of_class.items():
            owed += VALIDATION_SHARE * size
            if owed >= size / 2 and len(chosen) + 1 < sum(map(len, groups.values())):
                chosen.append((digest,))
                owed -= size
    index.executemany("UPDATE images SET part = 'validation' WHERE part = 'train' AND digest = ?", chosen)
    counts = dict(index.execute("SELECT part, COUNT(*) FROM images GROUP BY part").fetchall())
    return (
        f"split by image, balanced by class: {counts.get('train', 0)} training images, "
        f"{counts.get('validation', 0)} validation images"
    )


def _write(
    index: sqlite3.Connection, folder: Path
) -> tuple[dict[str, Part], Fingerprint, Iterator[split_file.Row]]:
    parts: dict[str, Part] = {}
    fingerprint, rows = Fingerprint(), []
    for part in PARTS:
        wanted = "SELECT data FROM images WHERE part = ? ORDER BY scored, rank, name"
        stored = index.execute(wanted, (part,))
        first = next(stored, None)
        if first is None:
            continue
        with TFRecordWriter(folder / f"{part}.tfrecord-00000-of-00001") as shard:
            for (data,) in (first, *stored):
                shard.write(data)
                image = decode(data)
                fingerprint.add_sum(part, 1, image.digest())
                rows.append((part, image.name))
        parts[part] = Part((shard.path,), shard.records)
    return parts, fingerprint, iter(rows)
