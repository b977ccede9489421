"""The database of a deployment in PostgreSQL: for replicas on many machines, which share a data folder or a store.

The statements are those of SQLite's. Write transactions come one after another, as there: each takes one advisory lock.
A job is locked by an advisory lock on a connection of its own, which PostgreSQL releases when the process or its
machine is gone, the latter after 20 s (tuning.study.storage.postgresql.KEEPALIVE).
"""

from __future__ import annotations

import hashlib
import itertools
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.exc import SQLAlchemyError

from serve.deployment.database import ADDED, INDICES, NEW_DEPLOYMENT, SCHEMA, Database
from serve.errors import DatabaseFailed
from serve.storage.marks import Mark
from trainers.errors import UserError
from tuning.study.storage.postgresql import engine, in_words

WRITES = 7236554302104  # the advisory lock of write transactions, of one deployment for each database
CONNECTIONS = 40  # of a process, at most; each running job has one
TYPES = {"REAL": "DOUBLE PRECISION", "INTEGER": "BIGINT"}


class PostgresDatabase(Database):
    """See Database. url: without a password, which is that of PGPASSWORD or ~/.pgpass.

    mark: of the place of its files, which must be of the same deployment; None to compare nothing.
    """

    def __init__(
        self, url: str, mark: Mark | None, create: bool = False, deployment: str | None = None
    ) -> None:
        self._engine = engine(url, CONNECTIONS)
        try:
            if create:
                self._create()
            here = self.deployment
        except DatabaseFailed as error:
            if 'relation "notes" does not exist' in str(error):
                raise UserError(
                    f"{url}: not prepared; run `python -m serve.run --prepare` with this --database"
                ) from None
            raise UserError(f"{url}: {error}") from None
        if mark is None:
            return
        self._check_place(url, mark.uri, create)
        if create:
            mark.write(here)
        if mark.read() != here or deployment not in (None, here):
            raise UserError(
                f"{mark.place}: is not where the deployment in {url} has its files; all machines must share it"
            )

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """See Database."""
        with _failures(), self._engine.connect() as connection:
            yield Statements(connection)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """See Database."""
        with _failures(), self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITES})
            yield Statements(connection)

    @contextmanager
    def lock(self, file: Path) -> Iterator[bool]:
        """See Database. The lock is on the name of the job's folder, for all machines."""
        key = {"key": int.from_bytes(hashlib.sha256(file.parent.name.encode()).digest()[:8], signed=True)}
        with _failures(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            held = connection.execute(sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), key).scalar()
            try:
                yield bool(held)
            finally:
                if held:
                    with suppress(SQLAlchemyError):  # the connection was lost, and the lock with it
                        connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)

    def _check_place(self, url: str, uri: str, create: bool) -> None:
        """Raise UserError when the deployment has its files in another store, or in none. create: note the place."""
        with self.transaction() as db:
            if create:
                db.execute("INSERT INTO notes VALUES ('files', ?) ON CONFLICT DO NOTHING", (uri,))
            found = db.execute("SELECT value FROM notes WHERE name = 'files'").fetchone()
        if found is not None and found["value"] != uri:
            place = found["value"] or "a folder that all machines share"
            raise UserError(f"{url}: this deployment has its files in {place}; give the same --files")

    def _create(self) -> None:
        schema = re.sub("|".join(TYPES), lambda found: TYPES[found[0]], SCHEMA)
        with self.transaction() as db:
            for statement in filter(str.strip, schema.split(";")):
                db.execute(statement)
            for name, kind in ADDED.items():
                there = TYPES.get(kind.split()[0], kind.split()[0])
                db.execute(
                    f"ALTER TABLE jobs ADD COLUMN IF NOT EXISTS {name} {kind.replace(kind.split()[0], there)}"
                )
            db.execute(INDICES)
            db.execute(NEW_DEPLOYMENT, (uuid.uuid4().hex,))


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseFailed(in_words(error, "--database")) from error


class Statements:
    """Executes statements as SQLite's connections do: with ? or :name for values, and rows by place and by name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Result:
        """Execute one statement."""
        return Result(self._connection.execute(_named(sql), _by_name(values)))

    def executemany(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each of these values."""
        self._connection.execute(_named(sql), [_by_name(each) for each in values])


class Result:
    """What a statement has returned. rowcount: of the rows that it has changed."""

    def __init__(self, result: CursorResult[Any]) -> None:
        self._result = result
        self.rowcount = result.rowcount

    def fetchone(self) -> Row | None:
        """The next row."""
        found = self._result.fetchone()
        return None if found is None else Row(found._mapping)

    def fetchall(self) -> list[Row]:
        """All further rows."""
        return [Row(found._mapping) for found in self._result.fetchall()]


class Row(tuple[Any, ...]):
    """A row, as sqlite3.Row is: its values by place and by name. PostgreSQL's decimals are numbers."""

    _names: tuple[str, ...]

    def __new__(cls, fields: Mapping[Any, Any]) -> Row:
        """Of the columns' values by their names."""
        made = super().__new__(cls, map(_plain, fields.values()))
        made._names = tuple(map(str, fields))
        return made

    def keys(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._names

    def __getitem__(self, key: Any) -> Any:
        """A value by its column's name or place."""
        return super().__getitem__(self._names.index(key) if isinstance(key, str) else key)


def _plain(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _named(sql: str) -> Any:
    places = itertools.count()
    return sqlalchemy.text(re.sub(r"\?", lambda _: f":p{next(places)}", sql))


def _by_name(values: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """By name; PostgreSQL's text has no NUL, which SQLite's may have, as a client's name of a video."""
    named = values if isinstance(values, Mapping) else {f"p{n}": value for n, value in enumerate(values)}
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
        for name, value in named.items()
    }
