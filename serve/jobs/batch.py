"""Batch: many videos submitted at once; and what is announced at the end of a job and of a batch."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serve.jobs.job import ACTIVE, STATES, Job, job_of
from serve.webhooks.outbox import announce


@dataclass(frozen=True)
class Batch:
    """A row of the table of batches. jobs: how many it was made of. output, webhook: see Submission."""

    id: str
    created: float
    jobs: int
    output: str | None
    webhook: str | None

    @property
    def cursor(self) -> str:
        """Its place among all batches, by time."""
        return f"{self.created!r}~{self.id}"


def announce_end(db: sqlite3.Connection, job_id: str) -> None:
    """Add the messages that the end of this job calls for, in the transaction that ends it."""
    job = job_of(db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())
    announce(db, job.id, f"job.{job.state}", job.webhook, job.to_dict())
    if job.batch is None:
        return
    active = "SELECT 1 FROM jobs WHERE batch = ? AND state IN ('queued', 'running') LIMIT 1"
    found = db.execute("SELECT * FROM batches WHERE id = ?", (job.batch,)).fetchone()
    if found is not None and db.execute(active, (job.batch,)).fetchone() is None:
        batch = batch_of(found)
        output = f"{batch.output}/manifest.json" if batch.output else None
        announce(db, batch.id, "batch.done", batch.webhook, shown(batch, jobs_of(db, batch.id)), output)


def batch_of(row: sqlite3.Row) -> Batch:
    """A row of the table of batches as a Batch."""
    return Batch(row["id"], row["created"], row["jobs"], row["output"], row["webhook"])


def jobs_of(db: sqlite3.Connection, batch_id: str) -> list[Job]:
    """Its jobs that were not removed, in the order of the request."""
    rows = db.execute("SELECT * FROM jobs WHERE batch = ? ORDER BY id", (batch_id,)).fetchall()
    return [job_of(row) for row in rows]


def shown(batch: Batch, jobs: Sequence[Job]) -> dict[str, Any]:
    """A batch with these jobs in the HTTP API's format."""
    counts = Counter(job.state for job in jobs)
    active = any(counts[state] for state in ACTIVE)
    ended = [job.ended for job in jobs if job.ended is not None]
    share = [1.0 if not job.active else job.to_dict()["progress"] for job in jobs]
    return {
        "id": batch.id,
        "state": "running" if active else "done",
        "created": batch.created,
        "ended": None if active or not ended else max(ended),
        "jobs_total": batch.jobs,
        "jobs": {state: counts[state] for state in STATES} | {"removed": batch.jobs - len(jobs)},
        "progress": sum(share, start=float(batch.jobs - len(jobs))) / batch.jobs,
        "frames": sum(job.frames for job in jobs),
        "objects": sum(job.objects for job in jobs),
        "output_uri": batch.output,
    }
