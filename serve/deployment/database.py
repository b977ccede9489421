"""The SQLite database that all processes of a deployment share: tables, connections, transactions."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainers.errors import UserError

FILE = "serve.sqlite"
MARK = "deployment"  # file in the data folder, with the id that a database in PostgreSQL has
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "efs",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, options TEXT NOT NULL,
    facts TEXT, model TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    frames INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, objects INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0, frames_per_second REAL, seconds_left REAL, error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, segments INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    key TEXT UNIQUE, digest TEXT, faults INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    output TEXT, webhook TEXT, batch TEXT, claim INTEGER NOT NULL DEFAULT 0
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
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, created REAL NOT NULL, jobs INTEGER NOT NULL, output TEXT, webhook TEXT, key TEXT UNIQUE,
    digest TEXT
);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, subject TEXT NOT NULL, event TEXT NOT NULL, url TEXT, output TEXT, body TEXT NOT NULL,
    created REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, ended REAL, error TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (ended, not_before);
CREATE TABLE IF NOT EXISTS replicas (id TEXT PRIMARY KEY, seen REAL NOT NULL);
"""
# columns of the jobs table that databases of earlier versions lack
ADDED = {
    "faults": "INTEGER NOT NULL DEFAULT 0", "not_before": "REAL NOT NULL DEFAULT 0", "output": "TEXT", "webhook": "TEXT",
    "batch": "TEXT", "claim": "INTEGER NOT NULL DEFAULT 0",
}  # fmt: skip
NEW_DEPLOYMENT = "INSERT INTO notes VALUES ('deployment', ?) ON CONFLICT DO NOTHING"
# of columns that an earlier version lacks
INDICES = "CREATE INDEX IF NOT EXISTS jobs_by_batch ON jobs (batch)"


class Database:
    """One file in the folder `data`, with a connection per thread.

    create: make it if it is missing, as `serve.run --prepare` does. Nothing else may: a process with another folder, or
    on a machine that does not share it, would serve an empty record of its own.
    deployment: the id that the database must have; None for any.
    Raises UserError when it is missing, of another deployment, or cannot be used.
    """

    def __init__(self, data: Path, create: bool = False, deployment: str | None = None) -> None:
        self.path = path = data / FILE
        self._local = threading.local()
        if not create and not path.is_file():
            raise UserError(
                f"{data}: not prepared; run `python -m serve.run --prepare` with this folder as --data"
            )
        try:
            data.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                if create:
                    # WAL needs memory that all processes share, which machines do not
                    mode = "DELETE" if on_network(data) else "WAL"
                    connection.execute(f"PRAGMA journal_mode = {mode}")
                connection.executescript(SCHEMA)
                _add_columns(connection)
                connection.execute(INDICES)
                connection.execute(NEW_DEPLOYMENT, (uuid.uuid4().hex,))
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"{path}: cannot be used as the database of jobs: {error}; give another --data"
            ) from None
        if deployment not in (None, self.deployment):
            raise UserError(f"{data}: is of another deployment; all processes must share one data folder")

    @property
    def deployment(self) -> str:
        """The id that the deployment got when its folder was prepared."""
        with self.reading() as db:
            return str(db.execute("SELECT value FROM notes WHERE name = 'deployment'").fetchone()["value"])

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection for SELECTs."""
        yield self._connection()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A write transaction; it holds the write lock from the start, and is rolled back on an exception."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @contextmanager
    def lock(self, file: Path) -> Iterator[bool]:
        """Lock a job's file against all threads and processes; False when it is locked, or its folder is not there.

        The kernel releases the lock when its process dies.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            yield False
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

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


def on_network(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether the folder is on a file system that several machines share."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    found = {
        Path(where.replace("\\040", " ")): kind for _, where, kind, *_ in (line.split() for line in lines)
    }
    place = folder.resolve()
    kind = next((found[each] for each in (place, *place.parents) if each in found), "")
    return kind in NETWORK or kind.startswith("fuse.")


def _add_columns(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    known = {row["name"] for row in connection.execute("PRAGMA table_info(jobs)")}
    for name, kind in ADDED.items():
        if name not in known:
            connection.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")
    connection.execute("COMMIT")
