"""Catalogue: every labelled image of a source, listed in a file so that memory stays flat.

It also decides the order in which images are written: by a hash of their names, so that neighbours in a
    shard are not neighbours in the source.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from trainers.datasets.labelled_image import Box, LabelledImage, Stored
from trainers.datasets.tfrecords import Place

_SCHEMA = """
CREATE TABLE images (
    name TEXT PRIMARY KEY, -- unique
    rank INTEGER NOT NULL, -- hash of the name: an order that looks random and never changes
    part TEXT,
    sequence TEXT NOT NULL, -- images with the same one go to the same part
    labels TEXT NOT NULL, -- JSON
    shard INTEGER
) WITHOUT ROWID;
CREATE TABLE presence (class TEXT, name TEXT, PRIMARY KEY (class, name)) WITHOUT ROWID;
"""

_DEAL = """
WITH places AS (SELECT name, ROW_NUMBER() OVER (ORDER BY rank) - 1 AS place FROM images WHERE part = ?)
UPDATE images SET shard = places.place * ? / ? FROM places WHERE images.name = places.name
"""


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

    def add(self, image: LabelledImage) -> None:
        """List an image; a name that is taken gets a number."""
        name, copies = image.name, 1
        while self.database.execute("SELECT 1 FROM images WHERE name = ?", (name,)).fetchone():
            copies += 1
            name = f"{image.name}~{copies}"
        self.database.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?, NULL)",
            (name, rank(name), image.part, image.sequence or name, _to_json(image)),
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO presence VALUES (?, ?)", [(box.name, name) for box in image.boxes]
        )

    def images(self, part: str | None = None, shard: int | None = None) -> Iterator[LabelledImage]:
        """The images of a part, or of one shard of it, by rank."""
        where, values = "1", []
        for column, value in (("part", part), ("shard", shard)):
            if value is not None:
                where += f" AND {column} = ?"
                values.append(value)
        with closing(self.database.cursor()) as cursor:
            for name, row_part, labels in cursor.execute(
                f"SELECT name, part, labels FROM images WHERE {where} ORDER BY rank", values
            ):
                yield _from_json(name, row_part, labels)

    def deal(self, per_shard: int) -> dict[str, int]:
        """Give every image a shard of about `per_shard`; returns how many shards each part has."""
        shards: dict[str, int] = {}
        for part, count in self.counts().items():
            if part is None:
                continue
            shards[part] = -(-count // per_shard)
            self.database.execute(_DEAL, (part, shards[part], count))
        self.database.execute("CREATE INDEX IF NOT EXISTS by_shard ON images (part, shard, rank)")
        self.database.commit()
        return shards

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
    fields = {
        "stored": str(image.stored.path),
        "place": asdict(image.stored.place) if image.stored.place else None,
        "boxes": [list(asdict(box).values()) for box in image.boxes],
        "labelled_in": image.labelled_in,
        "size": image.size,
        "fractions": image.fractions,
        "sequence": image.sequence,
        "turned": image.turned_by_default,
    }
    return json.dumps(fields, separators=(",", ":"))


def _from_json(name: str, part: str | None, text: str) -> LabelledImage:
    fields = json.loads(text)
    return LabelledImage(
        name=name,
        stored=Stored(Path(fields["stored"]), Place(**fields["place"]) if fields["place"] else None),
        boxes=tuple(Box(*box) for box in fields["boxes"]),
        labelled_in=fields["labelled_in"],
        size=tuple(fields["size"]) if fields["size"] else None,
        fractions=fields["fractions"],
        part=part,
        sequence=fields["sequence"],
        turned_by_default=fields["turned"],
    )
