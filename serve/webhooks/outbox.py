"""Outbox: the messages to send, stored in the transaction that ends their job, so that none is lost by a crash."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from serve.deployment.database import Database

# seconds until the next try, after each that failed; 27 hours in all
PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 2 * 3600.0, 8 * 3600.0, 16 * 3600.0)
LEASE_SECONDS = 300.0  # after which a message whose sender has died is sent by another
# failed tries of writing a batch's manifest (13 minutes) after which its webhook is called without it
MANIFEST_TRIES = 5


@dataclass(frozen=True)
class Message:
    """A row of the table of deliveries.

    subject: id of the job or batch. event: as "job.done". url: of the webhook, output: the S3 object that gets the
    manifest before; or None. body: JSON. tries: begun. not_before, ended: seconds since 1970.
    error: why the last try failed.
    """

    id: str
    subject: str
    event: str
    url: str | None
    output: str | None
    body: str
    created: float
    tries: int
    not_before: float
    ended: float | None
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """In the HTTP API's format; without the URL, which may hold a secret."""
        waiting = self.ended is None
        return {
            "id": self.id,
            "event": self.event,
            "host": urlsplit(self.url).hostname if self.url else None,
            "state": "waiting" if waiting else "failed" if self.error else "delivered",
            "tries": self.tries,
            "next_try": self.not_before if waiting and self.tries else None,
            "ended": self.ended,
            "error": self.error,
        }


def announce(
    db: sqlite3.Connection, subject: str, event: str, url: str | None, data: Mapping[str, Any],
    output: str | None = None,
) -> None:  # fmt: skip
    """Add a message in the caller's transaction, if there is anything to do."""
    if url is None and output is None:
        return
    now = time.time()
    stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    body = json.dumps({"type": event, "timestamp": stamp, "data": data}, ensure_ascii=False)
    db.execute(
        "INSERT INTO deliveries (id, subject, event, url, output, body, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (f"msg_{secrets.token_hex(12)}", subject, event, url, output, body, now),
    )


class Outbox:
    """The messages in `database`, for any number of senders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self) -> Message | None:
        """A message that is due, now this caller's for LEASE_SECONDS; None if there is none."""
        now = time.time()
        due = "ended IS NULL AND not_before <= ?"
        with self._database.reading() as db:  # most often there is none, and nobody waits for the write lock
            if db.execute(f"SELECT 1 FROM deliveries WHERE {due} LIMIT 1", (now,)).fetchone() is None:
                return None
        with self._database.transaction() as db:
            row = db.execute(
                f"UPDATE deliveries SET tries = tries + 1, not_before = ? WHERE id = (SELECT id FROM deliveries "
                f"WHERE {due} ORDER BY not_before, created LIMIT 1) RETURNING *",
                (now + LEASE_SECONDS, now),
            ).fetchone()
        return None if row is None else Message(**dict(row))

    def delivered(self, message: Message) -> None:
        """It has arrived."""
        self._end(message, None)

    def failed(self, message: Message, why: str, for_good: bool = False) -> None:
        """A try has failed; there is another one, unless `for_good` or it was the last."""
        if for_good or message.tries > len(PAUSES):
            self._end(message, why)
            return
        with self._database.transaction() as db:
            db.execute(
                "UPDATE deliveries SET not_before = ?, error = ? WHERE id = ?",
                (time.time() + PAUSES[message.tries - 1], why[:300], message.id),
            )

    def without_manifest(self, message: Message, why: str) -> None:
        """Make the call of the webhook a message of its own, due now, whose data say why there is no manifest yet."""
        told = json.loads(message.body)
        with self._database.transaction() as db:
            db.execute("UPDATE deliveries SET url = NULL WHERE id = ?", (message.id,))
            announce(db, message.subject, message.event, message.url, told["data"] | {"manifest_error": why})

    def of(self, subject: str) -> list[Message]:
        """The messages about a job or batch, oldest first."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT * FROM deliveries WHERE subject = ? ORDER BY created", (subject,)
            ).fetchall()
        return [Message(**dict(row)) for row in rows]

    def clean_up(self, seconds: float) -> None:
        """Remove messages that ended longer ago."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM deliveries WHERE ended < ?", (time.time() - seconds,))

    def _end(self, message: Message, error: str | None) -> None:
        with self._database.transaction() as db:
            db.execute(
                "UPDATE deliveries SET ended = ?, error = ? WHERE id = ?",
                (time.time(), error and error[:300], message.id),
            )
