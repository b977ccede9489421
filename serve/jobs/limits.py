"""Limits on what one request or job may ask of the server. Each field is a setting: `serve.run --limit NAME=VALUE`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Requests beyond a limit are refused before they cost the server anything.

    upload_bytes: of a video. image_bytes: of an images:detect request. pixels: of a frame or image (8K has 33 million).
    side: smallest width and height, pixels. seconds, frames: of a video, both declared and actual.
    queued: jobs waiting. requests_per_minute: of one token. images, request_pixels: per images:detect request; a
    replica decodes no more pixels than that at the same time. frame_bytes: memory for the decoded frames of a job.
    free_bytes: disk space that must stay free. output_bytes: of the results of one job. job_days: age in days at which
    finished jobs are removed. result_bytes: of all jobs' files together; beyond it the oldest finished jobs are removed.
    Unfinished jobs may take half of it: then no more are accepted, so that results stay.
    stall_seconds: without progress, after which a job is tried again in another process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_bytes: int = Field(2 << 30, gt=0)
    image_bytes: int = Field(64 << 20, gt=0)
    pixels: int = Field(34_000_000, gt=0)
    side: int = Field(16, gt=0)
    seconds: float = Field(4 * 3600.0, gt=0)
    frames: int = Field(1_000_000, gt=0)
    queued: int = Field(5000, gt=0)
    images: int = Field(64, gt=0)
    requests_per_minute: float = Field(6000, gt=0)
    request_pixels: int = Field(100_000_000, gt=0)
    frame_bytes: int = Field(256 << 20, gt=0)
    output_bytes: int = Field(8 << 30, gt=0)
    free_bytes: int = Field(1 << 30, ge=0)
    job_days: float = Field(7.0, gt=0)
    result_bytes: int = Field(50 << 30, gt=0)
    stall_seconds: float = Field(600.0, gt=0)


# for a user's own videos and images on their own machine
NO_LIMITS = Limits(
    upload_bytes=1 << 60,
    pixels=1 << 60,
    side=1,
    seconds=1e9,
    frames=1 << 60,
    free_bytes=0,
    output_bytes=1 << 60,
)
