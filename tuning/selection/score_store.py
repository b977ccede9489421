"""ScoreStore: the scores of a pool in a SQLite file, written batch by batch, so that a killed scoring goes on."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from trainers.files import user_cache
from tuning.selection.scored import Found, Scored

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, size INTEGER, modified INTEGER, sha256 TEXT, look TEXT, width INTEGER, height INTEGER,
    problem TEXT
);
CREATE TABLE IF NOT EXISTS found (
    name TEXT, network TEXT, classes INTEGER, detections BLOB, embedding BLOB, PRIMARY KEY (name, network)
);
"""


def store_of(pool: Path) -> Path:
    """The file for a pool, in the user's cache."""
    name = hashlib.sha256(str(pool.resolve()).encode()).hexdigest()[:16]
    return user_cache("selection") / f"{pool.resolve().name}-{name}.sqlite"


class ScoreStore:
    """Facts about the images of a pool, and what networks found in them. A context manager."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_TABLES)

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def missing(self, name: str, size: int, modified: int, networks: Iterable[str]) -> set[str]:
        """The networks that have yet to score an image; none if it is known to be unreadable.

        size, modified: bytes and nanoseconds. What is known of another version of the file is forgotten.
        """
        wanted = set(networks)
        row = self._database.execute(
            "SELECT size, modified, problem FROM images WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            return wanted
        if row[:2] != (size, modified):
            with self._database:
                self._database.execute("DELETE FROM images WHERE name = ?", (name,))
                self._database.execute("DELETE FROM found WHERE name = ?", (name,))
            return wanted
        if row[2] is not None:
            return set()
        done = self._database.execute("SELECT network FROM found WHERE name = ?", (name,))
        return wanted - {network for (network,) in done}

    def add(
        self,
        images: Iterable[tuple[str, int, int, str, int, int, int, str | None]],
        found: Iterable[tuple[str, str, Found, np.ndarray | None]] = (),
    ) -> None:
        """Add a batch, whole or not at all.

        images: name, size, modified, sha256, look, width, height, what is wrong with it. found: name, network, its
        detections and embedding.
        """
        rows = [
            (
                name, network, each.probabilities.shape[1],
                np.hstack([each.boxes, each.probabilities]).astype(np.float32).tobytes(),
                None if embedding is None else embedding.astype(np.float32).tobytes(),
            )
            for name, network, each, embedding in found
        ]  # fmt: skip
        facts = [(*row[:4], f"{row[4]:016x}", *row[5:]) for row in images]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)", facts)
            self._database.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?, ?, ?)", rows)

    def problem(self, name: str) -> str | None:
        """What is wrong with an image that cannot be scored."""
        row = self._database.execute("SELECT problem FROM images WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def sha256(self, name: str) -> str:
        """Of an image's file, in hexadecimal."""
        found = self._database.execute("SELECT sha256 FROM images WHERE name = ?", (name,)).fetchone()
        return str(found[0])

    def scored(self, names: Iterable[str], networks: Mapping[str, str]) -> Iterator[Scored]:
        """The images of these names, read one by one. networks: "found", "mirrored", "other" -> the network's name."""
        facts = "SELECT sha256, look, width, height FROM images WHERE name = ?"
        for name in names:
            sha256, look, width, height = self._database.execute(facts, (name,)).fetchone()
            found, embedding = self._found(name, networks["found"])
            more = {
                role: self._found(name, network)[0] for role, network in networks.items() if role != "found"
            }
            yield Scored(
                name,
                sha256,
                int(look, 16),
                width,
                height,
                found.boxes,
                found.probabilities,
                embedding,
                **more,
            )

    def _found(self, name: str, network: str) -> tuple[Found, np.ndarray | None]:
        classes, detections, embedding = self._database.execute(
            "SELECT classes, detections, embedding FROM found WHERE name = ? AND network = ?", (name, network)
        ).fetchone()
        rows = np.frombuffer(detections, np.float32).reshape(-1, 4 + classes)
        return Found(rows[:, :4], rows[:, 4:]), (
            None if embedding is None else np.frombuffer(embedding, np.float32)
        )
