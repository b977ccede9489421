"""Ties images of the same content together before a split, so that none is trained on and validated on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.tfrecords import CorruptRecord

_SAMPLE = 512  # bytes of a file's beginning and of its end: files that agree in these and in size are compared whole


def tie_doubles(catalogue: Catalogue) -> None:
    """Give images of the same content the same sequence; sequences that share an image become one.

    Files are read whole only when their size, beginning and end are another's.
    """
    database = catalogue.database
    database.execute(
        "CREATE TEMP TABLE contents (id INTEGER PRIMARY KEY, size INTEGER, sample BLOB, digest BLOB)"
    )
    for image_id, image in catalogue.numbered_images():
        if image.stored.place is None:
            database.execute(
                "INSERT INTO contents VALUES (?, ?, NULL, NULL)", (image_id, _size(image.stored.path))
            )
        else:
            digest = _digest(catalogue, image_id)
            database.execute("INSERT INTO contents VALUES (?, NULL, NULL, ?)", (image_id, digest))
    for column, shared_by, measure in (("sample", "size", _sample), ("digest", "sample", _digest)):
        database.execute(f"CREATE INDEX temp.by_{shared_by} ON contents ({shared_by})")
        shared = (
            f"SELECT id FROM contents WHERE {shared_by} IN "
            f"(SELECT {shared_by} FROM contents WHERE {shared_by} IS NOT NULL GROUP BY {shared_by} HAVING COUNT(*) > 1)"
        )
        for (image_id,) in database.execute(shared).fetchall():
            measured = measure(catalogue, image_id)
            database.execute(f"UPDATE contents SET {column} = ? WHERE id = ?", (measured, image_id))
    database.execute("CREATE INDEX temp.by_digest ON contents (digest)")
    pairs = (
        "SELECT (SELECT MIN(id) FROM contents AS other WHERE other.digest = contents.digest), id FROM contents "
        "WHERE digest IN (SELECT digest FROM contents WHERE digest IS NOT NULL GROUP BY digest HAVING COUNT(*) > 1)"
    )
    for first, later in database.execute(pairs).fetchall():
        if first != later:
            database.execute(
                "UPDATE images SET sequence = (SELECT sequence FROM images WHERE id = ?) "
                "WHERE sequence = (SELECT sequence FROM images WHERE id = ?)",
                (first, later),
            )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # missing, which the conversion says
        return None


def _sample(catalogue: Catalogue, image_id: int) -> bytes | None:
    try:
        with catalogue.image(image_id).stored.path.open("rb") as file:
            head = file.read(_SAMPLE)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _SAMPLE))
            return b"%d " % size + head + file.read()
    except OSError:
        return None


def _digest(catalogue: Catalogue, image_id: int) -> bytes | None:
    try:
        return hashlib.sha256(catalogue.image(image_id).stored.read()).digest()
    except (OSError, CorruptRecord):
        return None
