"""JobQueue: the jobs table as the replicas use it: which job is next, and how a try of it ended."""

from __future__ import annotations

import json
import time
from typing import Any

from serve.deployment.database import Database
from serve.errors import Refused
from serve.jobs.batch import announce_end
from serve.jobs.job import Job, State, job_of
from serve.jobs.progress import Progress
from serve.video.opening import VideoFacts

DUE = 500  # jobs to choose from: more than all replicas have locked


class JobQueue:
    """The queued and running jobs in `database`. Every change is durable when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self) -> list[Job]:
        """At most DUE unfinished jobs whose next try is due: single ones, then those of batches, oldest first."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE state IN ('queued', 'running') AND not_before <= ? "
                "ORDER BY batch IS NOT NULL, created, id LIMIT ?",
                (time.time(), DUE),
            ).fetchall()
        return [job_of(row) for row in rows]

    def start(self, job_id: str, segments: int) -> Job | None:
        """Mark the locked job as running; None when it has ended meanwhile.

        segments: how many are finished. Attempts and faults are counted anew after each new segment.
        """
        with self._database.transaction() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None or row["state"] not in ("queued", "running"):
                return None
            further = segments > row["segments"]
            db.execute(
                "UPDATE jobs SET state = 'running', started = coalesce(started, ?), attempts = ?, faults = ?, "
                "segments = ?, claim = claim + 1 WHERE id = ?",
                (
                    time.time(), 1 if further else row["attempts"] + 1, 0 if further else row["faults"], segments,
                    job_id,
                ),
            )  # fmt: skip
            return job_of(db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())

    def update_progress(self, job: Job, progress: Progress, size: int) -> bool:
        """Store the progress. size: bytes of the job's files. False when it was cancelled, or given to another."""
        with self._database.transaction() as db:
            changed = db.execute(
                "UPDATE jobs SET frames = ?, total = CASE WHEN total > ? THEN total ELSE ? END, "
                "frames_per_second = ?, seconds_left = ?, bytes = ? "
                "WHERE id = ? AND state = 'running' AND model = ? AND claim = ?",
                (
                    progress.frames, progress.frames, progress.frames, round(progress.frames_per_second, 2),
                    progress.seconds_left, size, job.id, job.model, job.claim,
                ),
            ).rowcount  # fmt: skip
        return bool(changed)

    def set_facts(self, job_id: str, facts: VideoFacts) -> None:
        """Store the properties of a video that was fetched by URI."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET facts = ?, total = ? WHERE id = ?",
                (json.dumps(facts.to_dict()), facts.frames, job_id),
            )

    def done(self, job: Job, manifest: dict[str, Any], size: int) -> bool:
        """Mark the job as done. False when it was cancelled or given to another model. size: bytes of its files."""
        return self._end(
            job, "done", frames=manifest["frames"], total=manifest["frames"], objects=manifest["objects"],
            damaged=manifest["damaged"], bytes=size, error=None,
        )  # fmt: skip

    def failed(self, job: Job, reason: str, size: int) -> bool:
        """Mark the job as failed. False when it was cancelled or given to another model. size: bytes of its files."""
        return self._end(job, "failed", error=_short(reason), bytes=size)

    def release(self, job_id: str) -> None:
        """After an orderly stop of its process: do not count this attempt."""
        with self._database.transaction() as db:
            db.execute(f"UPDATE jobs SET attempts = {FEWER_ATTEMPTS} WHERE id = ?", (job_id,))

    def postpone(self, job: Job, reason: str, seconds: float, counted: bool) -> None:
        """Put the job back into the queue, to be resumed after its last segment in `seconds`.

        reason: shown until it ends. counted: whether it counts as a fault, of which a job may have only so many.
        """
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', error = ?, not_before = ?, faults = faults + ?, "
                f"attempts = {FEWER_ATTEMPTS} WHERE id = ? AND state = 'running' AND model = ? AND claim = ?",
                (_short(reason), time.time() + seconds, int(counted), job.id, job.model, job.claim),
            )

    def give_to(self, job_id: str, model: str) -> None:
        """Put the job back into the queue, to be processed from the start by another model."""
        with self._database.transaction() as db:
            db.execute(f"{GIVE} WHERE id = ? AND state = 'running'", (model, job_id))

    def retry(self, job: Job, model: str) -> None:
        """Put a failed job back into the queue, as if it had never been tried. Raises Refused (409) for another."""
        with self._database.transaction() as db:
            changed = db.execute(
                f"{GIVE}, ended = NULL, error = NULL WHERE id = ? AND state = 'failed'", (model, job.id)
            ).rowcount
        if not changed:
            raise Refused(409, f"the job is {job.state}; only a failed job can be tried again")

    def _end(self, job: Job, state: State, **fields: Any) -> bool:
        columns = "".join(f", {name} = :{name}" for name in fields)
        with self._database.transaction() as db:
            changed = db.execute(
                f"UPDATE jobs SET state = :state, ended = :now, seconds_left = NULL{columns} "
                "WHERE id = :id AND model = :model AND claim = :claim AND state IN ('queued', 'running')",
                {
                    "state": state,
                    "now": time.time(),
                    "id": job.id,
                    "model": job.model,
                    "claim": job.claim,
                    **fields,
                },
            ).rowcount
            if changed:
                announce_end(db, job.id)
        return bool(changed)


FEWER_ATTEMPTS = "CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END"
# another model begins anew
GIVE = "UPDATE jobs SET state = 'queued', model = ?, frames = 0, segments = 0, attempts = 0, faults = 0, not_before = 0"


def _short(reason: str) -> str:
    return " ".join(reason.split())[:500]
