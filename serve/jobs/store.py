"""JobStore: the jobs and their folders: add, read, cancel, lock. A change is durable when its method returns."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.job import ACTIVE, Job, State, job_of
from serve.jobs.options import Options
from serve.video.opening import VideoFacts
from trainers.files import sync

INPUT, LOCK = "input", "lock"


class JobStore:
    """Jobs in `database`, each with a folder in `folder`: the files input and lock, and work/ and result/."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def folder(self, job_id: str) -> Path:
        """The job's folder."""
        return self._folder / job_id

    def add(
        self, incoming: Path, name: str, source: str, options: Options, facts: VideoFacts | None, model: str,
        queue_limit: int, key: str | None = None, digest: str = "",
    ) -> tuple[Job, bool]:  # fmt: skip
        """Create a job from the folder `incoming`, which holds its input. Returns the job, and whether it is new.

        The files are on the disk before the row is: a job that was answered with 202 survives a power cut.
        key: the client's idempotency key; for a known key with the same `digest`, the existing job is returned.
        Raises Refused: 429 when the queue is full, 409 when the key was used with another digest.
        """
        job_id = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(5)
        for file in (*incoming.iterdir(), incoming):  # before the transaction, which others wait for
            sync(file)
        with self.database.transaction() as db:
            if key is not None:
                known = db.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
                if known is not None:
                    if known["digest"] != digest:
                        raise Refused(
                            409, "this Idempotency-Key was already used with another video or other options"
                        )
                    return job_of(known), False
            waiting = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
            if waiting >= queue_limit:
                raise Refused(429, f"the queue is full ({waiting} jobs); try again later", retry_after=30)
            size = sum(f.stat().st_size for f in incoming.iterdir())
            # the folder first: a job always has one, and a folder without a job is removed later
            incoming.replace(self.folder(job_id))
            sync(self._folder)
            db.execute(
                "INSERT INTO jobs (id, state, name, source, options, facts, model, created, total, bytes, key, digest) "
                "VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job_id, name[:200], source, options.model_dump_json(), facts and json.dumps(facts.to_dict()), model,
                    time.time(), facts.frames if facts else 0, size, key, digest,
                ),
            )  # fmt: skip
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
    ) -> list[Job]:
        """Newest first. before: only jobs created before this time, seconds since 1970.

        after: the `cursor` of the last job of the page before, which may have been removed since. Raises Refused (422).
        """
        created, _, job_id = (after or "inf~").partition("~")
        try:
            last = float(created)
        except ValueError:
            raise Refused(422, "cursor: not one that this server gave") from None
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE (:state IS NULL OR state = :state) "
                "AND (:before IS NULL OR created < :before) AND (created, id) < (:last, :id) "
                "ORDER BY created DESC, id DESC LIMIT :limit",
                {"state": state, "before": before, "limit": limit, "last": last, "id": job_id},
            ).fetchall()
        return [job_of(row) for row in rows]

    @contextmanager
    def lock(self, job_id: str) -> Iterator[bool]:
        """Lock the job against all other threads and processes; False when it is locked already or does not exist.

        The kernel releases the lock when its process dies.
        """
        try:
            descriptor = os.open(self.folder(job_id) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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

    def cancel(self, job_id: str) -> Job | None:
        """Cancel an active job and return it, or remove one that has ended (None).

        A replica that is processing the job notices at its next progress update. Raises Refused (404).
        """
        self.get(job_id)
        with self.database.transaction() as db:
            cancelled = db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ?, seconds_left = NULL, error = NULL "
                "WHERE id = ? AND state IN ('queued', 'running')",
                (time.time(), job_id),
            ).rowcount
        if cancelled:
            self.remove_files(job_id)
            return self.get(job_id)
        with self.database.transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        shutil.rmtree(self.folder(job_id), ignore_errors=True)
        return None

    def remove_files(self, job_id: str) -> None:
        """Remove a cancelled job's files, unless a replica still has it locked: then the replica removes them."""
        with self.lock(job_id) as held:
            if held:
                for entry in self.folder(job_id).iterdir():
                    if entry.is_dir():
                        shutil.rmtree(entry, ignore_errors=True)
                    elif entry.name != LOCK:
                        entry.unlink()

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

    def expired(self, days: float, size: int) -> list[str]:
        """Ids of ended jobs older than `days`, and of the oldest ones beyond `size` bytes of files in all."""
        with self.database.reading() as db:
            rows = db.execute(
                "SELECT id, ended, bytes FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY ended DESC, id"
            ).fetchall()
        found, total = [], 0
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

    def exists(self, job_id: str) -> bool:
        """Whether there is such a job."""
        with self.database.reading() as db:
            return db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone() is not None
