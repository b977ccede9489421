"""Catalogue: every labelled image of a source, listed in a file so that memory stays flat.

It also decides the order in which images are written: by a hash of their names, so that neighbours in a
    shard are not neighbours in the source.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path

from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.records.tfrecords import RecordLocation

_SCHEMA = """
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL, -- hash of the name: an order that looks random and never changes
    part TEXT,
    sequence TEXT NOT NULL, -- images with the same one go to the same part
    in_sequence INTEGER NOT NULL, -- whether the source says so
    file TEXT NOT NULL, -- where the image is
    in_file INTEGER NOT NULL, -- it is a file, and not a record in one
    labels TEXT NOT NULL, -- JSON
    shard INTEGER
);
CREATE TABLE presence (class TEXT, id INTEGER);
"""
# an image whose name is another's is told from it by a number
_RENAME = """
WITH copies AS (SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY id) AS copy FROM images)
UPDATE images SET
    name = name || '~' || copies.copy,
    sequence = CASE WHEN in_sequence THEN sequence ELSE name || '~' || copies.copy END
FROM copies WHERE copies.copy > 1 AND images.id = copies.id
"""
_SAME_FILE = """
SELECT first, id FROM images JOIN (
    SELECT MIN(id) AS first, file FROM images WHERE in_file GROUP BY file HAVING COUNT(*) > 1
) USING (file) WHERE in_file AND id != first ORDER BY id
"""
_ASSIGN_SHARDS = """
WITH places AS (SELECT id, ROW_NUMBER() OVER (ORDER BY rank, id) - 1 AS place FROM images WHERE part = ?)
UPDATE images SET shard = places.place * ? / ? FROM places WHERE images.id = places.id
"""
_encode = json.JSONEncoder(separators=(",", ":")).encode
_ROWS = 1000  # written at once


def rank(name: str, seed: int = 0) -> int:
    """63 bits that look random, and are the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1


class Catalogue:
    """A list of LabelledImages in an SQLite file; open it once in each thread or process that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        new = not path.exists()
        self.database = sqlite3.connect(path)
        # whoever is killed over it starts from nothing
        self.database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;"
        )
        if new:
            self.database.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_all(self, images: Iterable[LabelledImage]) -> None:
        """List all images, in memory for a few of them; of those with the same name, all but the first get a number."""
        next_id, rest = 0, iter(images)
        while some := list(islice(rest, _ROWS)):
            rows = [
                (
                    number,
                    image.name,
                    rank(image.name),
                    image.part,
                    image.sequence or image.name,
                    image.sequence is not None,
                    str(image.stored.path),
                    image.stored.record is None,
                    _to_json(image),
                )
                for number, image in enumerate(some, next_id)
            ]
            shown = [
                (name, number)
                for number, image in enumerate(some, next_id)
                for name in {box.name for box in image.boxes}
            ]
            self.database.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", rows)
            self.database.executemany("INSERT INTO presence VALUES (?, ?)", shown)
            next_id += len(some)
        self.database.execute(_RENAME)
        self.database.commit()

    def images(self, part: str, shard: int) -> Iterator[LabelledImage]:
        """The images of one shard of a part, by rank."""
        wanted = "SELECT name, part, labels FROM images WHERE part = ? AND shard = ? ORDER BY rank, id"
        with closing(self.database.cursor()) as cursor:
            for row in cursor.execute(wanted, (part, shard)):
                yield _from_json(*row)

    def numbered_images(self) -> Iterator[tuple[int, LabelledImage]]:
        """Every image with its number, in the order of the source."""
        with closing(self.database.cursor()) as cursor:
            for number, *row in cursor.execute("SELECT id, name, part, labels FROM images ORDER BY id"):
                yield number, _from_json(*row)

    def image(self, number: int) -> LabelledImage:
        """The image with this number."""
        row = self.database.execute(
            "SELECT name, part, labels FROM images WHERE id = ?", (number,)
        ).fetchone()
        return _from_json(*row)

    def assign_shards(self, per_shard: int) -> dict[str, int]:
        """Give every image a shard of about `per_shard`; returns how many shards each part has."""
        shards: dict[str, int] = {}
        for part, count in self.counts().items():
            if part is None:
                continue
            shards[part] = -(-count // per_shard)
            self.database.execute(_ASSIGN_SHARDS, (part, shards[part], count))
        self.database.execute("CREATE INDEX IF NOT EXISTS by_shard ON images (part, shard, rank)")
        self.database.commit()
        return shards

    def knows_sequences(self) -> bool:
        """Whether the source says which images belong together."""
        return self.database.execute("SELECT 1 FROM images WHERE in_sequence LIMIT 1").fetchone() is not None

    def files(self, part: str) -> list[Path]:
        """The files in which the images of a part lie, in alphabetical order."""
        found = "SELECT DISTINCT file FROM images WHERE part = ? ORDER BY file"
        return [Path(file) for (file,) in self.database.execute(found, (part,))]

    def drop_repeated_files(self) -> list[tuple[LabelledImage, LabelledImage]]:
        """Of the images that lie in the same file keep the first; each that is left out comes with that first one."""
        found = self.database.execute(_SAME_FILE).fetchall()
        pairs = [(self.image(first), self.image(later)) for first, later in found]
        self.database.executemany("DELETE FROM images WHERE id = ?", [(later,) for _, later in found])
        self.database.execute("DELETE FROM presence WHERE id NOT IN (SELECT id FROM images)")
        return pairs

    def count_unlisted(self, names: Iterable[str]) -> int:
        """How many of these names are no image's."""
        self.database.execute("CREATE TEMP TABLE asked (name TEXT)")
        self.database.executemany("INSERT INTO asked VALUES (?)", ((name,) for name in names))
        missing = "SELECT COUNT(*) FROM asked WHERE name NOT IN (SELECT name FROM images)"
        count: int = self.database.execute(missing).fetchone()[0]
        self.database.execute("DROP TABLE asked")
        return count

    def names(self) -> Iterator[tuple[str, str]]:
        """Part and name of every image, in alphabetical order."""
        with closing(self.database.cursor()) as cursor:
            yield from cursor.execute("SELECT part, name FROM images ORDER BY part, name")

    def counts(self) -> Counter[str | None]:
        """How many images each part has."""
        return Counter(
            dict(self.database.execute("SELECT part, COUNT(*) FROM images GROUP BY part").fetchall())
        )

    def images_by_class(self) -> Mapping[str, int]:
        """How many images show each class, by class in alphabetical order."""
        return dict(
            self.database.execute("SELECT class, COUNT(*) FROM presence GROUP BY class ORDER BY class")
        )


def _to_json(image: LabelledImage) -> str:
    record = image.stored.record
    fields = [
        str(image.stored.path),
        [record.offset, record.length] if record else None,
        image.boxes,
        image.labelled_in,
        image.size,
        image.fractions,
        image.sequence,
        image.turned_by_default,
    ]
    return _encode(fields)


def _from_json(name: str, part: str | None, text: str) -> LabelledImage:
    path, record, boxes, labelled_in, size, fractions, sequence, turned = json.loads(text)
    return LabelledImage(
        name=name,
        stored=Stored(Path(path), RecordLocation(*record) if record else None),
        boxes=tuple([Box(*box) for box in boxes]),
        labelled_in=labelled_in,
        size=(size[0], size[1]) if size else None,
        fractions=fractions,
        part=part,
        sequence=sequence,
        turned_by_default=turned,
    )
