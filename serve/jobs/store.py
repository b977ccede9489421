"""JobStore: the jobs and their folders: add, read, cancel, lock. A change is durable when its method returns."""

from __future__ import annotations

import json
import math
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.batch import announce_end
from serve.jobs.job import ACTIVE, Job, State, job_of
from serve.jobs.submission import Submission
from serve.storage.job_files import LOCK, JobFiles

ID = re.compile("[A-Za-z0-9-]+")


class JobStore:
    """Jobs in `database`, with their files in `files`."""

    def __init__(self, database: Database, files: JobFiles) -> None:
        self.database, self.files = database, files

    def add(
        self, incoming: Path, sent: Submission, model: str, queue_limit: int, key: str | None = None, digest: str = ""
    ) -> tuple[Job, bool]:  # fmt: skip
        """Create a job from the folder `incoming`, which holds its input. Returns the job, and whether it is new.

        The files are on the disk before the row is: a job that was answered with 202 survives a power cut.
        key: the client's idempotency key; for a known key with the same `digest`, the existing job is returned.
        Raises Refused: 429 when the queue is full, 409 when the key was used with another digest.
        """
        with self.database.reading() as db:  # before anything is kept
            known = known_by_key(db, "jobs", key, digest)
            if known is not None:
                return job_of(known), False
            check_queue(db, 1, queue_limit)
        job_id = new_id()
        size = sum(file.stat().st_size for file in incoming.iterdir())
        # a job always has its files, and files without a job are removed later
        self.files.add(job_id, incoming, sent.uploaded)
        try:
            with self.database.transaction() as db:
                known = known_by_key(db, "jobs", key, digest)
                if known is None:
                    check_queue(db, 1, queue_limit)
                    insert_job(
                        db, job_id, replace(sent, size=size or sent.size), model, time.time(), key, digest
                    )
        except Refused:
            self.files.remove(job_id)
            raise
        if known is not None:  # sent twice at once
            self.files.remove(job_id)
            return job_of(known), False
        return self.get(job_id), True

    def get(self, job_id: str) -> Job:
        """The job. Raises Refused (404) when it does not exist."""
        with self.database.reading() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise Refused(404, "there is no such job")
        return job_of(row)

    def list_jobs(
        self,
        state: State | None = None,
        limit: int = 100,
        before: float | None = None,
        after: str | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        """Newest first. before: only jobs created before this time, seconds since 1970. batch: only jobs of this one.

        after: the `cursor` of the last job of the page before, which may have been removed since. Raises Refused (422).
        """
        last, job_id = position(after)
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE (CAST(:state AS TEXT) IS NULL OR state = :state) "
                "AND (CAST(:before AS DOUBLE PRECISION) IS NULL OR created < :before) "
                "AND (CAST(:batch AS TEXT) IS NULL OR batch = :batch) "
                "AND (created, id) < (:last, :id) "
                "ORDER BY created DESC, id DESC LIMIT :limit",
                {
                    "state": state,
                    "before": before,
                    "limit": limit,
                    "last": last,
                    "id": job_id,
                    "batch": batch,
                },
            ).fetchall()
        return [job_of(row) for row in rows]

    @contextmanager
    def lock(self, job_id: str) -> Iterator[bool]:
        """Lock the job against all other replicas; False when it is locked already or does not exist.

        The lock is released when its process dies.
        """
        if not self.files.known(job_id):
            yield False
            return
        with self.database.lock(self.files.folder(job_id) / LOCK) as held:
            yield held

    def cancel(self, job_id: str) -> Job | None:
        """Cancel an active job and return it, or remove one that has ended (None). Raises Refused (404).

        A job that ends just then, or is tried again just then, is returned and left as it is.
        """
        if self.get(job_id).active:
            self.cancel_active(job_id)
            return self.get(job_id)
        return None if self.remove(job_id) else self.get(job_id)

    def cancel_active(self, job_id: str) -> None:
        """Cancel the job, unless it has ended. A replica that is processing it notices at its next progress update."""
        with self.database.transaction() as db:
            cancelled = db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ?, seconds_left = NULL, error = NULL, bytes = 0 "
                "WHERE id = ? AND state IN ('queued', 'running')",
                (time.time(), job_id),
            ).rowcount
            if cancelled:
                announce_end(db, job_id)
        if cancelled:
            self.remove_files(job_id)

    def remove(self, job_id: str) -> bool:
        """Remove a job that has ended, with its files. False when there is none, or it is active."""
        with self.database.transaction() as db:
            removed = db.execute(
                "DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running')", (job_id,)
            ).rowcount
        if removed:
            self.files.remove(job_id)
        return bool(removed)

    def remove_files(self, job_id: str) -> None:
        """Remove a cancelled job's files, unless a replica still has it locked: then the replica removes them."""
        with self.lock(job_id) as held:
            if held:
                self.files.clear(job_id)

    def waiting(self) -> tuple[int, float]:
        """The number of queued jobs, and the age of the oldest in seconds."""
        with self.database.reading() as db:
            count, oldest = db.execute(
                "SELECT count(*), min(created) FROM jobs WHERE state = 'queued'"
            ).fetchone()
        return count, max(0.0, time.time() - oldest) if oldest else 0.0

    def unfinished(self) -> int:
        """The number of queued and running jobs."""
        counts = self.counts()
        return counts.get("queued", 0) + counts.get("running", 0)

    def counts(self) -> dict[str, int]:
        """The number of jobs by state."""
        with self.database.reading() as db:
            return dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def check_room(self, size: int, most: int) -> None:
        """Raise Refused (507) when `size` more bytes of unfinished jobs exceed half of `most`, of all jobs together."""
        taken = self._unfinished_bytes()
        if taken + size > most // 2:
            raise Refused(
                507,
                f"unfinished jobs take {taken} of the {most // 2} bytes that they may have; try again later",
                retry_after=600,
            )

    def _unfinished_bytes(self) -> int:
        with self.database.reading() as db:
            row = db.execute("SELECT sum(bytes) FROM jobs WHERE state IN ('queued', 'running')").fetchone()
        return int(row[0] or 0)

    def expired(self, days: float, size: int) -> list[str]:
        """Ids of ended jobs older than `days`, and of the oldest ones beyond `size` bytes of all jobs' files."""
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT id, ended, bytes FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY ended DESC, id"
            ).fetchall()
        found, total = [], self._unfinished_bytes()
        for row in rows:
            total += row["bytes"]
            if total > size or row["ended"] < time.time() - days * 86_400:
                found.append(row["id"])
        return found

    def active(self, job_id: str) -> bool:
        """Whether the job exists, and is queued or running."""
        with self.database.reading() as db:
            row = db.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return row is not None and row["state"] in ACTIVE

    def taken_over(self, job: Job) -> bool:
        """Whether another replica has started the job since `job` was, since its lock was lost with the database."""
        with self.database.reading() as db:
            row = db.execute("SELECT claim FROM jobs WHERE id = ?", (job.id,)).fetchone()
        return row is not None and row["claim"] != job.claim

    def exists(self, job_id: str) -> bool:
        """Whether there is such a job."""
        with self.database.reading() as db:
            return db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone() is not None


def position(cursor: str | None) -> tuple[float, str]:
    """The time and the id in a `cursor`, after which a page begins; before all others without one. Raises Refused."""
    if cursor is None:
        return math.inf, ""
    created, _, name = cursor.partition("~")
    try:
        found = float(created)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or not ID.fullmatch(name):
        raise Refused(422, "cursor: not one that this server gave")
    return found, name


def new_id() -> str:
    """Of a job or a batch; later ones sort after earlier ones, by seconds."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(5)


def known_by_key(db: sqlite3.Connection, table: str, key: str | None, digest: str) -> sqlite3.Row | None:
    """The row of `table` that was made with this idempotency key. Raises Refused (409) when by another request."""
    if key is None:
        return None
    known: sqlite3.Row | None = db.execute(f"SELECT * FROM {table} WHERE key = ?", (key,)).fetchone()
    if known is not None and known["digest"] != digest:
        raise Refused(409, "this Idempotency-Key was already used with another video or other options")
    return known


def check_queue(db: sqlite3.Connection, more: int, limit: int) -> None:
    """Raise Refused (429) when so many more jobs do not fit into the queue."""
    waiting = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
    if waiting + more > limit:
        raise Refused(429, f"the queue is full ({waiting} jobs); try again later", retry_after=30)


def insert_job(
    db: sqlite3.Connection, job_id: str, sent: Submission, model: str, created: float,
    key: str | None = None, digest: str = "", batch: str | None = None,
) -> None:  # fmt: skip
    """Add a queued job; its folder must exist."""
    facts = sent.facts
    db.execute(
        "INSERT INTO jobs (id, state, name, source, options, facts, model, created, total, bytes, key, digest, output, "
        "webhook, batch) VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job_id, sent.name[:200], sent.source, sent.options.model_dump_json(), facts and json.dumps(facts.to_dict()),
            model, created, facts.frames if facts else 0, sent.size, key, digest, sent.output, sent.webhook, batch,
        ),
    )  # fmt: skip
