"""Groups duplicate images before a split, so that none is in both the training and the validation part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection

from trainers.datasets.catalogue import Catalogue
from trainers.datasets.records.tfrecords import CorruptRecord

_SAMPLE = 512  # bytes at the start and at the end of a file; only files equal in these and in size are hashed

_TABLES = """
CREATE TEMP TABLE sizes (id INTEGER PRIMARY KEY, size INTEGER);
CREATE TEMP TABLE samples (id INTEGER PRIMARY KEY, sample BLOB);
CREATE TEMP TABLE digests (id INTEGER PRIMARY KEY, digest BLOB);
"""
# id and file of the images whose value in a column is not unique
_SHARED = """
SELECT id, file FROM images JOIN {table} USING (id) WHERE {column} IN
    (SELECT {column} FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} HAVING COUNT(*) > 1)
"""
_PAIRS = """
SELECT first, id FROM digests JOIN (
    SELECT MIN(id) AS first, digest FROM digests WHERE digest IS NOT NULL GROUP BY digest HAVING COUNT(*) > 1
) USING (digest) WHERE id != first
"""


def group_duplicates(catalogue: Catalogue) -> None:
    """Give duplicate images the same sequence; sequences that share an image are merged.

    Only files with the same size, start and end are read completely.
    """
    database = catalogue.database
    database.executescript(_TABLES)
    whole_files = database.execute("SELECT id, file FROM images WHERE in_file")
    database.executemany("INSERT INTO sizes VALUES (?, ?)", _measured(_size, whole_files))
    same_size = database.execute(_SHARED.format(table="sizes", column="size"))
    database.executemany("INSERT INTO samples VALUES (?, ?)", _measured(_sample, same_size))
    same_sample = database.execute(_SHARED.format(table="samples", column="sample"))
    database.executemany("INSERT INTO digests VALUES (?, ?)", _measured(_digest, same_sample))
    database.executemany("INSERT INTO digests VALUES (?, ?)", _digests_of_records(catalogue))
    for first, later in database.execute(_PAIRS).fetchall():
        _join(database, first, later)


def _join(database: Connection, first: int, later: int) -> None:
    database.execute(
        "UPDATE images SET sequence = (SELECT sequence FROM images WHERE id = ?) "
        "WHERE sequence = (SELECT sequence FROM images WHERE id = ?)",
        (first, later),
    )


def _measured(
    measure: Callable[[str], int | bytes], files: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, int | bytes | None]]:
    for number, file in files:
        try:
            yield number, measure(file)
        except OSError:  # missing or unreadable; the conversion reports it
            yield number, None


def _size(file: str) -> int:
    return os.stat(file).st_size  # noqa: PTH116 - called for every image; a Path would double the time


def _sample(file: str) -> bytes:
    opened = os.open(file, os.O_RDONLY)  # four times as fast as a file object
    try:
        size = os.fstat(opened).st_size
        head = os.pread(opened, _SAMPLE, 0)
        return b"%d " % size + head + os.pread(opened, _SAMPLE, max(0, size - _SAMPLE))
    finally:
        os.close(opened)


def _digest(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _digests_of_records(catalogue: Catalogue) -> Iterator[tuple[int, bytes | None]]:
    for (number,) in catalogue.database.execute("SELECT id FROM images WHERE NOT in_file"):
        try:
            yield number, hashlib.sha256(catalogue.image(number).stored.read()).digest()
        except (OSError, CorruptRecord):
            yield number, None
