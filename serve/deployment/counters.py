"""Counters of a deployment, stored in its database: summed over processes and kept across restarts."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator

from serve.deployment.database import Database


class Counters:
    """Counts are collected in memory and written by `flush`, which the owner calls about once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[tuple[str, str], float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Add `value` to a counter."""
        with self._lock:
            self._pending[name, json.dumps(labels, sort_keys=True)] += value

    def flush(self) -> None:
        """Write the collected counts to the database."""
        with self._lock:
            pending, self._pending = self._pending, defaultdict(float)
        if not pending:
            return
        with self._database.transaction() as db:
            db.executemany(
                "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
                [(name, labels, value) for (name, labels), value in pending.items()],
            )

    def all(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of every counter in the database."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, labels, value FROM counters ORDER BY name, labels").fetchall()
        for row in rows:
            yield row["name"], json.loads(row["labels"]), row["value"]
