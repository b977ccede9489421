"""What the HTTP API answers with, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.jobs.options import Options


class Video(BaseModel):
    """What a video says of itself; see serve.video.opening.VideoFacts."""

    width: int
    height: int
    rotation: int
    rate: str
    seconds: float
    frames: int
    codec: str
    audio: str | None


class JobModel(BaseModel):
    """A job."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    name: str
    source: str
    options: Options
    video: Video | None
    model: str
    created: float
    started: float | None
    ended: float | None
    progress: float = Field(ge=0, le=1)
    frames: int
    frames_total: int
    objects: int
    frames_damaged: int
    frames_per_second: float | None
    seconds_left: float | None
    error: str | None
    ticket: str = Field(
        description="as ?ticket=..., lets a browser read this job's results without the token"
    )


class JobList(BaseModel):
    """Newest first; `before` of the next page is the last one's `created`."""

    jobs: list[JobModel]


class JobRequest(BaseModel):
    """A job whose video the server can reach itself."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(
        min_length=1, max_length=4096, description="file:///... or s3://... that the server allows"
    )
    options: Options = Options()


class Object(BaseModel):
    """A detection."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="class")
    class_id: int
    score: float
    box: list[float] = Field(description="[ymin, xmin, ymax, xmax], normalised")
    pixels: list[float] = Field(description="[left, top, right, bottom]")


class ImageAnswer(BaseModel):
    """One image."""

    height: int
    width: int
    objects: list[Object]


class DetectAnswer(BaseModel):
    """Of each image, in order."""

    model: str
    images: list[ImageAnswer]


class ModelAnswer(BaseModel):
    """What serves, what is being tried, and the manifest of the export."""

    model: str | None
    classes: list[str]
    threshold: float | None
    manifest: dict[str, Any]
    rollout: dict[str, Any]
    replica: dict[str, Any]


class Promotion(BaseModel):
    """A new model."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=4096, description="an export's folder that the server allows")
    canary: float = Field(
        1.0, gt=0, le=1, description="share of the work for it until it has proved itself; 1: at once"
    )
    images: int = Field(200, ge=1, le=10**9, description="it must have looked at so many to be judged")
    errors: float = Field(0.01, ge=0, le=1, description="share of images it may fail on")
    rate: float = Field(
        0.5, gt=0, le=1e9, description="how far its objects an image may be from the present model's"
    )
