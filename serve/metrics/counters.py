"""Counters and histograms of a deployment, stored in its database: summed over processes and kept across restarts."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from serve.deployment.database import Database
from serve.metrics.families import HISTOGRAMS
from serve.metrics.histogram import Histogram

BUCKET, SUM = ".bucket", ".sum"  # added to a histogram's name; a bucket has the label le, its upper bound
ABOVE_ALL = "+Inf"


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

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Count `value` in one of the HISTOGRAMS."""
        bounds = HISTOGRAMS[name].bounds
        place = bisect_left(bounds, value)
        le = repr(bounds[place]) if place < len(bounds) else ABOVE_ALL
        self.add(name + BUCKET, 1.0, le=le, **labels)
        self.add(name + SUM, value, **labels)

    def add_histogram(self, name: str, seen: Histogram, **labels: str) -> None:
        """Add the observations in `seen`, which has the bounds of HISTOGRAMS[name], to that histogram."""
        for bound, count in zip((*map(repr, seen.bounds), ABOVE_ALL), seen.counts, strict=True):
            if count:
                self.add(name + BUCKET, float(count), **labels, le=bound)
        if any(seen.counts):
            self.add(name + SUM, seen.sum, **labels)

    def flush(self) -> None:
        """Write the collected counts to the database. When that fails, they are kept for the next time."""
        with self._lock:
            pending, self._pending = self._pending, defaultdict(float)
        if not pending:
            return
        try:
            with self._database.transaction() as db:
                db.executemany(
                    "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name, labels) DO UPDATE "
                    "SET value = counters.value + excluded.value",
                    [(name, labels, value) for (name, labels), value in pending.items()],
                )
        except Exception:
            with self._lock:
                for key, value in pending.items():
                    self._pending[key] += value
            raise

    def all(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of every counter in the database; histograms as in BUCKET and SUM."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, labels, value FROM counters ORDER BY name, labels").fetchall()
        for row in rows:
            yield row["name"], json.loads(row["labels"]), row["value"]
