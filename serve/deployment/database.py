"""The SQLite database that all processes of a deployment share: tables, connections, transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainers.errors import UserError

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, options TEXT NOT NULL,
    facts TEXT, model TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    frames INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, objects INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0, frames_per_second REAL, seconds_left REAL, error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, segments INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    key TEXT UNIQUE, digest TEXT, faults INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE TABLE IF NOT EXISTS counters (
    name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (name, labels)
);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (
    candidate TEXT NOT NULL, unit TEXT NOT NULL, images REAL NOT NULL, ours REAL NOT NULL, theirs REAL NOT NULL,
    PRIMARY KEY (candidate, unit)
);
CREATE TABLE IF NOT EXISTS replicas (id TEXT PRIMARY KEY, seen REAL NOT NULL);
"""
# columns of the jobs table that databases of earlier versions lack
ADDED = {"faults": "INTEGER NOT NULL DEFAULT 0", "not_before": "REAL NOT NULL DEFAULT 0"}


class Database:
    """One file, with a connection per thread. Raises UserError when it cannot be opened or created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                # two processes may start at the same time; switching to WAL needs an exclusive lock, so wait for it
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(SCHEMA)
                _add_columns(connection)
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"{path}: cannot be used as the database of jobs: {error}; give another --data"
            ) from None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for SELECTs."""
        yield self._connection()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction; it holds the write lock from the start, and is rolled back on an exception."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._open()
        return found

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 60000")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    known = {row["name"] for row in connection.execute("PRAGMA table_info(jobs)")}
    for name, kind in ADDED.items():
        if name not in known:
            connection.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")
    connection.execute("COMMIT")
