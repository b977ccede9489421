"""Job: one submitted video, as stored in the database."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal, get_args

from serve.jobs.options import Options

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ACTIVE: tuple[State, ...] = ("queued", "running")


@dataclass(frozen=True)
class Job:
    """A row of the jobs table.

    name: the client's name of the video; shown, never used as a path. source: "upload", or the video's URI.
    facts: fields of VideoFacts, None before the video was fetched. model: export id of the model that processes it.
    created, started, ended, not_before: seconds since 1970; the next try is not before the last of these.
    frames, total: done so far, and in the video (0: unknown). objects: detections. damaged: frames that could not be
    decoded. seconds_left: estimate. error: of a failed job, or of the last try of a queued one.
    attempts: starts since the last new segment. faults: tries since then that ended by a fault of the server.
    segments: finished ones at the last start. output: the S3 prefix of its results, webhook: the URL that is told of its
    end, batch: the id of the batch that it is part of; or None. claim: how often it was started. What a replica writes
    about a job that another one has started since, after its lock was lost with its connection, has no effect.
    """

    id: str
    state: State
    name: str
    source: str
    options: Options
    facts: dict[str, Any] | None
    model: str
    created: float
    started: float | None
    ended: float | None
    frames: int
    total: int
    objects: int
    damaged: int
    frames_per_second: float | None
    seconds_left: float | None
    error: str | None
    attempts: int
    segments: int
    faults: int
    not_before: float
    output: str | None
    webhook: str | None
    batch: str | None
    claim: int

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ACTIVE

    @property
    def cursor(self) -> str:
        """Its place among all jobs, by time: for JobStore.list_jobs."""
        return f"{self.created!r}~{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """The job in the HTTP API's format."""
        return {
            "id": self.id,
            "state": self.state,
            "name": self.name,
            "source": self.source,
            "options": self.options.model_dump(mode="json"),
            "video": self.facts,
            "model": self.model,
            "created": self.created,
            "started": self.started,
            "ended": self.ended,
            "progress": 1.0
            if self.state == "done"
            else min(1.0, self.frames / self.total)
            if self.total
            else 0.0,
            "frames": self.frames,
            "frames_total": self.total,
            "objects": self.objects,
            "frames_damaged": self.damaged,
            "frames_per_second": self.frames_per_second,
            "seconds_left": self.seconds_left if self.state == "running" else None,
            "error": self.error,
            "output_uri": self.output,
            "batch": self.batch,
            "next_try": self.not_before or None if self.state == "queued" else None,
        }


def job_of(row: sqlite3.Row) -> Job:
    """A row of the jobs table as a Job."""
    fields = {name: row[name] for name in row.keys() if name not in ("key", "digest", "bytes")}  # noqa: SIM118
    fields["options"] = Options.model_validate_json(fields["options"])
    fields["facts"] = json.loads(fields["facts"]) if fields["facts"] else None
    return Job(**fields)
