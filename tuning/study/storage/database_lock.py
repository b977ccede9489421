"""The lock on a study in PostgreSQL, with a fencing token.

A driver holds an advisory lock on a connection of its own: PostgreSQL releases it when the driver or its machine is
gone. A lock can be lost while its holder still runs (the server was restarted, the network was cut), so each holder has
a number, and each transaction of a driver first compares its own with the one in the table `tuning_locks`, which it
keeps from being changed until the transaction ends.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from trainers.errors import UserError
from tuning.study.storage.postgresql import checked

OLDEST = 12  # major version
TABLE = (
    "CREATE TABLE IF NOT EXISTS tuning_locks (study text PRIMARY KEY, token bigint NOT NULL, host text NOT NULL, "
    "pid bigint NOT NULL, since text NOT NULL)"
)
LOCK = "SELECT pg_try_advisory_lock(:key)"
TAKE = (
    "INSERT INTO tuning_locks VALUES (:study, 1, :host, :pid, :since) ON CONFLICT (study) DO UPDATE "
    "SET token = tuning_locks.token + 1, host = :host, pid = :pid, since = :since RETURNING token"
)


class LockLost(UserError):
    """Another driver has taken over the study."""


class DatabaseLock:
    """The lock on the study `name`, and its token, after `acquire`."""

    def __init__(self, database: Engine, name: str, where: str) -> None:
        self._engine = database
        self._name = name
        self._where = where
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._connection: Any = None
        self.token = 0

    def acquire(self) -> None:
        """Take the lock. Raises UserError, naming the holder, when another driver has it."""
        checked(self._acquire, self._where)

    def _acquire(self) -> None:
        connection = self._engine.connect()
        version = int(connection.execute(sqlalchemy.text("SHOW server_version_num")).scalar_one()) // 10000
        if version < OLDEST:
            connection.close()
            raise UserError(f"{self._where}: is PostgreSQL {version}; it takes {OLDEST} or newer")
        connection.execute(sqlalchemy.text(TABLE))
        if not connection.execute(sqlalchemy.text(LOCK), {"key": self._key}).scalar_one():
            found = connection.execute(
                sqlalchemy.text("SELECT pid, host, since FROM tuning_locks WHERE study = :study"),
                {"study": self._name},
            ).first()
            connection.close()
            holder = f"process {found[0]} on {found[1]} since {found[2]}" if found else "another process"
            raise UserError(
                f"{self._where}: the study {self._name} is in use by {holder}; wait, or stop it first"
            )
        who = {
            "study": self._name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        self.token = int(connection.execute(sqlalchemy.text(TAKE), who).scalar_one())
        connection.commit()  # the advisory lock is the session's, and stays
        self._connection = connection

    def hold(self) -> None:
        """Take the lock again after the connection broke. Raises LockLost when another driver has had it since."""
        connection = self._engine.connect()
        found = connection.execute(
            sqlalchemy.text("SELECT token FROM tuning_locks WHERE study = :study"), {"study": self._name}
        ).scalar()
        mine = found == self.token and (
            self._alive() or connection.execute(sqlalchemy.text(LOCK), {"key": self._key}).scalar_one()
        )
        if not mine:
            connection.close()
            raise LockLost(f"{self._where}: another driver has taken over the study {self._name}")
        if self._alive():
            connection.close()
            return
        connection.commit()
        if self._connection is not None:
            self._connection.invalidate()
        self._connection = connection

    def _alive(self) -> bool:
        """Whether the connection that holds the lock works."""
        try:
            self._connection.execute(sqlalchemy.text("SELECT 1"))
            self._connection.commit()
        except SQLAlchemyError:
            return False
        return True

    def guard(self, database: Engine) -> None:
        """From now on each transaction of `database` raises LockLost if another driver has taken the lock since."""

        @event.listens_for(database, "begin")
        def compare(connection: Any) -> None:
            found = connection.exec_driver_sql(
                "SELECT token FROM tuning_locks WHERE study = %s FOR SHARE", (self._name,)
            ).scalar()
            if found != self.token:
                raise LockLost(f"{self._where}: another driver has taken over the study {self._name}")

    def release(self) -> None:
        """Give it up; without effect when it is not held, or the server is gone."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock_all()"))
                connection.close()
            except SQLAlchemyError:  # the server has released it with the connection
                connection.invalidate()
