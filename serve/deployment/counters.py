"""Counters of all processes of a deployment, kept in its database: they rise through every restart."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator

from serve.deployment.database import Database


class Counters:
    """Gathered here, written together by `flush`, which whoever made this calls about once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered: dict[tuple[str, str], float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Let a counter rise."""
        with self._lock:
            self._gathered[name, json.dumps(labels, sort_keys=True)] += value

    def flush(self) -> None:
        """Write what has gathered."""
        with self._lock:
            gathered, self._gathered = self._gathered, defaultdict(float)
        if not gathered:
            return
        with self._database.writing() as db:
            db.executemany(
                "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
                [(name, labels, value) for (name, labels), value in gathered.items()],
            )

    def all(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Every counter as last written, of all processes."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, labels, value FROM counters ORDER BY name, labels").fetchall()
        for row in rows:
            yield row["name"], json.loads(row["labels"]), row["value"]
