"""Batches: many videos submitted at once, with one progress, one manifest and one message at their end."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

from serve.errors import Refused
from serve.jobs.batch import Batch, batch_of, jobs_of, shown
from serve.jobs.job import Job
from serve.jobs.store import JobStore, check_queue, insert_job, known_by_key, new_id, position
from serve.jobs.submission import Submission
from serve.storage.job_files import MANIFEST


class Batches:
    """The batches of a deployment; their jobs are in `store`."""

    def __init__(self, store: JobStore) -> None:
        self._store, self._database = store, store.database

    def add(
        self, sent: Sequence[tuple[Submission, str]], output: str | None, webhook: str | None, queue_limit: int,
        key: str | None = None, digest: str = "",
    ) -> tuple[Batch, bool]:  # fmt: skip
        """Create a batch of videos, each with the id of its model: all of them or none. Returns also whether it is new.

        Raises Refused: 429 when they do not all fit into the queue, 409 when the key was used with another digest.
        """
        batch_id, now = new_id(), time.time()
        ids = [f"{batch_id}-{number:05}" for number in range(len(sent))]
        with self._database.reading() as db:  # before anything is made
            known = known_by_key(db, "batches", key, digest)
            if known is not None:
                return batch_of(known), False
            check_queue(db, len(sent), queue_limit)
        self._store.files.reserve(ids)
        with self._database.transaction() as db:
            known = known_by_key(db, "batches", key, digest)
            if known is not None:  # sent twice at once; the folders are removed with others that have no job
                return batch_of(known), False
            check_queue(db, len(sent), queue_limit)
            db.execute(
                "INSERT INTO batches (id, created, jobs, output, webhook, key, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (batch_id, now, len(sent), output, webhook, key, digest),
            )
            for number, (job_id, (each, model)) in enumerate(zip(ids, sent, strict=True)):
                insert_job(db, job_id, each, model, now + number * 1e-6, batch=batch_id)
        return self.get(batch_id), True

    def get(self, batch_id: str) -> Batch:
        """The batch. Raises Refused (404) when it does not exist."""
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone()
        if row is None:
            raise Refused(404, "there is no such batch")
        return batch_of(row)

    def list_batches(self, limit: int, after: str | None = None) -> list[Batch]:
        """Newest first. after: the `cursor` of the last one of the page before. Raises Refused (422)."""
        last, batch_id = position(after)
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT * FROM batches WHERE (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?",
                (last, batch_id, limit),
            ).fetchall()
        return [batch_of(row) for row in rows]

    def jobs(self, batch_id: str) -> list[Job]:
        """Its jobs that were not removed, in the order of the request."""
        with self._database.reading() as db:
            return jobs_of(db, batch_id)

    def cancel(self, batch_id: str) -> Batch | None:
        """Cancel its active jobs and return it, or remove one that has ended with all its results (None).

        A job that ends meanwhile keeps its results. A batch of which a job is tried again meanwhile is kept, too.
        """
        batch, jobs = self.get(batch_id), self.jobs(batch_id)
        active = [job for job in jobs if job.active]
        for job in active:
            self._store.cancel_active(job.id)
        if active:
            return batch
        for job in jobs:
            self._store.remove(job.id)
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM batches WHERE id = ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch = batches.id)",
                (batch_id,),
            )
            kept = db.execute("SELECT 1 FROM batches WHERE id = ?", (batch_id,)).fetchone()
        return batch if kept else None

    def shown(self, batch: Batch) -> dict[str, Any]:
        """The batch in the HTTP API's format."""
        with self._database.reading() as db:
            return shown(db, batch)

    def manifest(self, batch_id: str) -> dict[str, Any]:
        """What became of each of its jobs, and where the results are. Raises Refused (409) while some are active."""
        batch, jobs = self.get(batch_id), self.jobs(batch_id)
        if any(job.active for job in jobs):
            raise Refused(409, "the batch is not done; its manifest exists only once all its jobs have ended")
        return self.shown(batch) | {"results": [self._result(job) for job in jobs]}

    def clean_up(self) -> None:
        """Remove batches none of whose jobs is left."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM batches WHERE id NOT IN (SELECT batch FROM jobs WHERE batch IS NOT NULL)")

    def _result(self, job: Job) -> dict[str, Any]:
        files: dict[str, str] = {}
        notes: list[str] = []
        made: dict[str, Any] = {}
        if job.state == "done":
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                made = json.loads(self._store.files.read(job, MANIFEST))
        if made:
            notes = made.get("notes", [])
            for what, name in made["files"].items():
                files[what] = f"{job.output}/{name}" if job.output else f"/v1/jobs/{job.id}/{what}"
        return {
            "job": job.id, "source": job.source, "state": job.state, "error": job.error, "model": job.model,
            "frames": job.frames, "frames_damaged": job.damaged, "objects": job.objects, "notes": notes, "files": files,
        }  # fmt: skip
