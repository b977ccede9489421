"""Limits: how much one request or job may ask of the server. Data in one place; every field is a setting."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What is refused before it costs the server anything.

    upload_bytes: of a video; image_bytes: of an images:detect request. pixels: of a frame or image (8k is 33 million).
    side: smallest width and height. seconds, frames: of a video, as it says and as it turns out to be.
    queued: jobs that may wait. images: of one request. free_bytes: left on the disk by whatever is accepted.
    job_days, result_bytes: finished jobs older, or the oldest beyond this sum of their files, are removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_bytes: int = Field(2 << 30, gt=0)
    image_bytes: int = Field(64 << 20, gt=0)
    pixels: int = Field(34_000_000, gt=0)
    side: int = Field(16, gt=0)
    seconds: float = Field(4 * 3600.0, gt=0)
    frames: int = Field(1_000_000, gt=0)
    queued: int = Field(1000, gt=0)
    images: int = Field(64, gt=0)
    free_bytes: int = Field(1 << 30, ge=0)
    job_days: float = Field(7.0, gt=0)
    result_bytes: int = Field(50 << 30, gt=0)
