"""Connections to PostgreSQL, of a study's storage and of serving's jobs: the address, the password, what errors mean."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from trainers.errors import UserError

CONNECT_SECONDS = 10
# so the server finds out after 20 s that a client's machine is gone, and gives up the locks that it held; by itself it
# would take two hours, or with an answer on its way a quarter of an hour
KEEPALIVE = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 20000",
)


def check_url(text: str, flag: str = "--storage") -> str:
    """The address of a database, without secrets. Raises UserError, naming `flag`, if it is none, or has a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise UserError(f"{flag} {text}: give postgresql://user@host/database, or leave it out")
    if url.password is not None:
        raise UserError(
            f"{flag} {url.render_as_string(hide_password=True)}: a password there is seen by everyone on this "
            "machine; set PGPASSWORD, or write it into ~/.pgpass"
        )
    if not url.database:
        raise UserError(f"{flag} {text}: names no database; give postgresql://user@host/database")
    return text


def engine(text: str, connections: int = 5) -> Engine:
    """A SQLAlchemy engine for the address, which keeps at most so many connections open.

    The password is that of PGPASSWORD or the file of passwords.
    """
    url = make_url(text)
    driver = url.drivername if "+" in url.drivername else "postgresql+pg8000"
    password = os.environ.get("PGPASSWORD") or password_of(url)
    options: dict[str, Any] = {"timeout": CONNECT_SECONDS} if driver.endswith("pg8000") else {}
    # it writes a traceback for each connection that a restarting server ends; whoever needs one hears of it anyway
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    made = sqlalchemy.create_engine(
        url.set(drivername=driver, password=password),
        pool_pre_ping=True,
        pool_size=connections,
        connect_args=options,
    )
    event.listen(made, "connect", keep_alive)
    return made


def keep_alive(connection: Any, record: object = None) -> None:
    """Let the server look, with the settings KEEPALIVE, whether this client is still there.

    connection: of the driver, as SQLAlchemy passes a new one to the listeners of "connect".
    """
    cursor = connection.cursor()
    for setting in KEEPALIVE:
        cursor.execute(setting)
    cursor.close()
    connection.commit()  # the settings of a transaction that is rolled back would go with it


def password_of(url: URL, file: Path | None = None) -> str | None:
    """The password in the user's file of passwords ($PGPASSFILE, ~/.pgpass), by PostgreSQL's own rules; None without."""
    path = file or Path(os.environ.get("PGPASSFILE") or "~/.pgpass").expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    wanted = (url.host or "localhost", str(url.port or 5432), url.database or "", url.username or "")
    for line in lines:
        fields = line.replace("\\:", "\0").split(":")
        if len(fields) == 5 and not line.startswith("#"):
            known = [field.replace("\0", ":").replace("\\\\", "\\") for field in fields]
            if all(each in ("*", want) for each, want in zip(known[:4], wanted, strict=True)):
                return known[4]
    return None


def checked(connect: Callable[[], Any], where: str) -> Any:
    """The result of `connect`. Raises UserError, in one line, for what PostgreSQL refuses."""
    try:
        return connect()
    except SQLAlchemyError as error:
        raise UserError(f"{where}: {in_words(error)}") from None


def in_words(error: SQLAlchemyError, flag: str = "--storage") -> str:
    """What PostgreSQL says, in one line, and what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    fields = cause.args[0] if cause is not None and cause.args and isinstance(cause.args[0], dict) else {}
    code = str(fields.get("C", getattr(cause, "sqlstate", "") or ""))
    said = " ".join(str(fields.get("M") or cause).split())[:200]
    if code in ("28P01", "28000"):
        return f"{said}; set PGPASSWORD, or write the password into ~/.pgpass"
    if code == "3D000":
        return f"{said}; create it first: createdb"
    if code == "42501":
        return f"{said}; the user must be allowed to create tables, and to read and write them"
    if isinstance(error, OperationalError) or not code:
        return f"PostgreSQL does not answer ({said}); start it, or give another {flag}"
    return said
