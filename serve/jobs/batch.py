"""Batch: many videos submitted at once; and what is announced at the end of a job and of a batch."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from serve.jobs.job import ACTIVE, STATES, Job, job_of
from serve.webhooks.outbox import announce

# progress: in jobs; an ended one counts as done
COUNT = """
SELECT state, count(*) AS jobs, sum(frames) AS frames, sum(objects) AS objects, max(ended) AS ended, sum(
    CASE WHEN state NOT IN ('queued', 'running') THEN 1.0 WHEN total > 0 AND frames < total THEN 1.0 * frames / total
    WHEN total > 0 THEN 1.0 ELSE 0.0 END
) AS progress FROM jobs
"""


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
        announce(db, batch.id, "batch.done", batch.webhook, shown(db, batch), output)


def batch_of(row: sqlite3.Row) -> Batch:
    """A row of the table of batches as a Batch."""
    return Batch(row["id"], row["created"], row["jobs"], row["output"], row["webhook"])


def jobs_of(db: sqlite3.Connection, batch_id: str) -> list[Job]:
    """Its jobs that were not removed, in the order of the request."""
    rows = db.execute("SELECT * FROM jobs WHERE batch = ? ORDER BY id", (batch_id,)).fetchall()
    return [job_of(row) for row in rows]


def shown(db: sqlite3.Connection, batch: Batch) -> dict[str, Any]:
    """The batch in the HTTP API's format."""
    rows = db.execute(f"{COUNT} WHERE batch = ? GROUP BY state", (batch.id,)).fetchall()
    counts = {row["state"]: row["jobs"] for row in rows}
    removed = batch.jobs - sum(counts.values())
    active = any(state in counts for state in ACTIVE)
    return {
        "id": batch.id,
        "state": "running" if active else "done",
        "created": batch.created,
        "ended": None if active else max((row["ended"] for row in rows), default=None),
        "jobs_total": batch.jobs,
        "jobs": {state: counts.get(state, 0) for state in STATES} | {"removed": removed},
        "progress": min(1.0, (removed + sum(row["progress"] for row in rows)) / batch.jobs),
        "frames": sum(row["frames"] for row in rows),
        "objects": sum(row["objects"] for row in rows),
        "output_uri": batch.output,
    }
