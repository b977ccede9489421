"""Catalogue: the labelled images of a source in an SQLite file, so that memory use does not grow with them.

It also fixes the order in which images are written: by a hash of their names, so that neighbours in a shard
are not neighbours in the source.
"""

from __future__ import annotations

import hashlib
import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path

from trainers.datasets.labelled_image import LabelledImage, Stored
from trainers.datasets.records.tfrecords import RecordLocation

_SCHEMA = """
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL, -- hash of the name: a fixed pseudo-random order
    part TEXT,
    sequence TEXT NOT NULL, -- images of one sequence go to the same part
    in_sequence INTEGER NOT NULL, -- 1 if the source states the sequence, 0 if it is the image's own name
    file TEXT NOT NULL, -- the file with the image
    in_file INTEGER NOT NULL, -- 1 if the image is the whole file, 0 if it is a record in it
    labels BLOB NOT NULL, -- pickled
    boxes INTEGER NOT NULL, -- how many
    shard INTEGER
);
CREATE TABLE presence (class TEXT, id INTEGER);
"""
# images with the same name are numbered: a.jpg, a.jpg~2, a.jpg~3
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
_ROWS = 1000  # per INSERT


def rank(name: str, seed: int = 0) -> int:
    """A pseudo-random number in [0, 2**63) that depends only on `name` and `seed`."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1


class Catalogue:
    """A list of LabelledImages in an SQLite file. Each thread or process that reads it opens its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        new = not path.exists()
        self.database = sqlite3.connect(path)
        # no durability needed: after a crash the catalogue is built from scratch
        self.database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;"
        )
        if new:
            self.database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_all(self, images: Iterable[LabelledImage]) -> None:
        """Add images in batches. Of several images with the same name, all but the first get a number appended."""
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
                    _packed(image),
                    len(image.boxes),
                )
                for number, image in enumerate(some, next_id)
            ]
            shown = [
                (name, number)
                for number, image in enumerate(some, next_id)
                for name in {box.name for box in image.boxes}
            ]
            self.database.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", rows)
            self.database.executemany("INSERT INTO presence VALUES (?, ?)", shown)
            next_id += len(some)
        self.database.execute(_RENAME)
        self.database.commit()

    def images(self, part: str, shard: int) -> Iterator[LabelledImage]:
        """The images of one shard of a part, ordered by rank."""
        wanted = "SELECT name, part, labels FROM images WHERE part = ? AND shard = ? ORDER BY rank, id"
        with closing(self.database.cursor()) as cursor:
            for row in cursor.execute(wanted, (part, shard)):
                yield _unpacked(*row)

    def numbered_images(self) -> Iterator[tuple[int, LabelledImage]]:
        """Every image with its id, in the order of the source."""
        with closing(self.database.cursor()) as cursor:
            for number, *row in cursor.execute("SELECT id, name, part, labels FROM images ORDER BY id"):
                yield number, _unpacked(*row)

    def image(self, number: int) -> LabelledImage:
        """The image with this id."""
        row = self.database.execute(
            "SELECT name, part, labels FROM images WHERE id = ?", (number,)
        ).fetchone()
        return _unpacked(*row)

    def assign_shards(self, per_shard: int) -> dict[str, int]:
        """Assign every image to a shard of about `per_shard` images. Returns the number of shards of each part."""
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
        """Whether the source states sequences."""
        return self.database.execute("SELECT 1 FROM images WHERE in_sequence LIMIT 1").fetchone() is not None

    def files(self, part: str) -> list[Path]:
        """The files that hold the images of a part, in alphabetical order."""
        found = "SELECT DISTINCT file FROM images WHERE part = ? ORDER BY file"
        return [Path(file) for (file,) in self.database.execute(found, (part,))]

    def drop_repeated_files(self) -> list[tuple[LabelledImage, LabelledImage]]:
        """Keep only the first image of each image file. Returns pairs of (first image, removed image)."""
        found = self.database.execute(_SAME_FILE).fetchall()
        pairs = [(self.image(first), self.image(later)) for first, later in found]
        self.database.executemany("DELETE FROM images WHERE id = ?", [(later,) for _, later in found])
        self.database.execute("DELETE FROM presence WHERE id NOT IN (SELECT id FROM images)")
        return pairs

    def count_unlisted(self, names: Iterable[str]) -> int:
        """How many of these names are not those of listed images."""
        self.database.execute("CREATE TEMP TABLE asked (name TEXT)")
        self.database.executemany("INSERT INTO asked VALUES (?)", ((name,) for name in names))
        missing = "SELECT COUNT(*) FROM asked WHERE name NOT IN (SELECT name FROM images)"
        count: int = self.database.execute(missing).fetchone()[0]
        self.database.execute("DROP TABLE asked")
        return count

    def not_listed(self, files: Iterable[str]) -> list[str]:
        """Those of these image files that no listed image has, in their order."""
        self.database.execute("CREATE TEMP TABLE seen (file TEXT)")
        self.database.executemany("INSERT INTO seen VALUES (?)", ((file,) for file in files))
        wanted = "SELECT file FROM seen WHERE file NOT IN (SELECT file FROM images) ORDER BY rowid"
        missing = [file for (file,) in self.database.execute(wanted)]
        self.database.execute("DROP TABLE seen")
        return missing

    def names(self) -> Iterator[tuple[str, str]]:
        """(part, name) of every image, in alphabetical order."""
        with closing(self.database.cursor()) as cursor:
            yield from cursor.execute("SELECT part, name FROM images ORDER BY part, name")

    def counts(self) -> Counter[str | None]:
        """Number of images by part; the key None is for images without one."""
        return Counter(
            dict(self.database.execute("SELECT part, COUNT(*) FROM images GROUP BY part").fetchall())
        )

    def crowded(self, part: str, boxes: int) -> tuple[int, int]:
        """How many images of a part have more than `boxes` boxes, and the most boxes of an image among them."""
        counted = "SELECT COUNT(*), MAX(boxes) FROM images WHERE part = ? AND boxes > ?"
        images, most = self.database.execute(counted, (part, boxes)).fetchone()
        return images, most or 0

    def images_by_class(self) -> Mapping[str, int]:
        """Number of images that show each class, sorted by class name."""
        return dict(
            self.database.execute("SELECT class, COUNT(*) FROM presence GROUP BY class ORDER BY class")
        )


def _packed(image: LabelledImage) -> bytes:
    """All but name and part. Pickled: JSON takes five times as long, and the file does not outlive its use."""
    record = image.stored.record
    fields = (
        str(image.stored.path),
        (record.offset, record.length) if record else None,
        image.boxes,
        image.labelled_in,
        image.size,
        image.fractions,
        image.sequence,
        image.rotated_by_default,
    )
    return pickle.dumps(fields, pickle.HIGHEST_PROTOCOL)


def _unpacked(name: str, part: str | None, packed: bytes) -> LabelledImage:
    path, record, boxes, labelled_in, size, fractions, sequence, turned = pickle.loads(packed)
    return LabelledImage(
        name=name,
        stored=Stored(Path(path), RecordLocation(*record) if record else None),
        boxes=boxes,
        labelled_in=labelled_in,
        size=size,
        fractions=fractions,
        part=part,
        sequence=sequence,
        rotated_by_default=turned,
    )
