"""JobStore: the jobs table and one folder per job. Every change is durable when its method returns."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.job import Job, State
from serve.jobs.options import Options
from serve.video.opening import VideoFacts
from serve.video.pipeline import Progress
from trainers.files import sync

INPUT, LOCK = "input", "lock"


class JobStore:
    """Jobs in `database`, each with a folder in `folder`: the files input and lock, and work/ and result/."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
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
        with self._database.transaction() as db:
            if key is not None:
                known = db.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
                if known is not None:
                    if known["digest"] != digest:
                        raise Refused(
                            409, "this Idempotency-Key was already used with another video or other options"
                        )
                    return _job(known), False
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
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise Refused(404, "there is no such job")
        return _job(row)

    def list_jobs(
        self, state: State | None = None, limit: int = 100, before: float | None = None
    ) -> list[Job]:
        """Newest first. before: only jobs created before this time, seconds since 1970."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE (:state IS NULL OR state = :state) "
                "AND (:before IS NULL OR created < :before) ORDER BY created DESC, id DESC LIMIT :limit",
                {"state": state, "before": before, "limit": limit},
            ).fetchall()
        return [_job(row) for row in rows]

    def active(self) -> list[str]:
        """Ids of the queued and running jobs, oldest first."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT id FROM jobs WHERE state IN ('queued', 'running') ORDER BY created, id"
            ).fetchall()
        return [row["id"] for row in rows]

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

    def start(self, job_id: str, segments: int) -> Job | None:
        """Mark the locked job as running; None when it has ended meanwhile.

        segments: how many are finished. Counts the attempts since the last new segment.
        """
        with self._database.transaction() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None or row["state"] not in ("queued", "running"):
                return None
            attempts = 1 if segments > row["segments"] else row["attempts"] + 1
            db.execute(
                "UPDATE jobs SET state = 'running', started = coalesce(started, ?), attempts = ?, segments = ? "
                "WHERE id = ?",
                (time.time(), attempts, segments, job_id),
            )
        return self.get(job_id)

    def update_progress(self, job_id: str, progress: Progress) -> bool:
        """Store the progress. False when the job is no longer running, because it was cancelled."""
        with self._database.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET frames = ?, total = max(total, ?), frames_per_second = ?, seconds_left = ? "
                "WHERE id = ? AND state = 'running'",
                (
                    progress.frames, progress.frames, round(progress.frames_per_second, 2), progress.seconds_left,
                    job_id,
                ),
            ).rowcount  # fmt: skip
        return changed > 0

    def set_facts(self, job_id: str, facts: VideoFacts) -> None:
        """Store the properties of a video that was fetched by URI."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET facts = ?, total = ? WHERE id = ?",
                (json.dumps(facts.to_dict()), facts.frames, job_id),
            )

    def done(self, job_id: str, manifest: dict[str, Any], size: int) -> bool:
        """Mark the job as done. False when it was cancelled meanwhile. size: bytes of its files."""
        return self._end(
            job_id, "done", frames=manifest["frames"], total=manifest["frames"], objects=manifest["objects"],
            damaged=manifest["damaged"], bytes=size,
        )  # fmt: skip

    def failed(self, job_id: str, reason: str) -> bool:
        """Mark the job as failed. False when it was cancelled meanwhile."""
        return self._end(job_id, "failed", error=" ".join(reason.split())[:500])

    def release(self, job_id: str) -> None:
        """After an orderly stop of its process: do not count this attempt."""
        with self._database.transaction() as db:
            db.execute("UPDATE jobs SET attempts = max(0, attempts - 1) WHERE id = ?", (job_id,))

    def requeue(self, job_id: str, model: str) -> None:
        """Put the job back into the queue, to be processed from the start by another model."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', model = ?, frames = 0, segments = 0, attempts = 0 "
                "WHERE id = ? AND state = 'running'",
                (model, job_id),
            )

    def cancel(self, job_id: str) -> Job | None:
        """Cancel an active job and return it, or remove one that has ended (None).

        A replica that is processing the job notices at its next progress update. Raises Refused (404).
        """
        self.get(job_id)
        if self._end(job_id, "cancelled"):
            self.remove_files(job_id)
            return self.get(job_id)
        with self._database.transaction() as db:
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
        with self._database.reading() as db:
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
        with self._database.reading() as db:
            return dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def expired(self, days: float, size: int) -> list[str]:
        """Ids of ended jobs older than `days`, and of the oldest ones beyond `size` bytes of files in all."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT id, ended, bytes FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY ended DESC, id"
            ).fetchall()
        found, total = [], 0
        for row in rows:
            total += row["bytes"]
            if total > size or row["ended"] < time.time() - days * 86_400:
                found.append(row["id"])
        return found

    def exists(self, job_id: str) -> bool:
        """Whether there is such a job."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone() is not None

    def _end(self, job_id: str, state: State, **fields: Any) -> bool:
        columns = "".join(f", {name} = :{name}" for name in fields)
        with self._database.transaction() as db:
            changed = db.execute(
                f"UPDATE jobs SET state = :state, ended = :now, seconds_left = NULL{columns} "
                "WHERE id = :id AND state IN ('queued', 'running')",
                {"state": state, "now": time.time(), "id": job_id, **fields},
            ).rowcount
        return changed > 0


def _job(row: sqlite3.Row) -> Job:
    fields = {name: row[name] for name in row.keys() if name not in ("key", "digest", "bytes")}  # noqa: SIM118
    fields["options"] = Options.model_validate_json(fields["options"])
    fields["facts"] = json.loads(fields["facts"]) if fields["facts"] else None
    return Job(**fields)
