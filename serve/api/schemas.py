"""Request and response models of the HTTP API, for validation and the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.deployment.evidence import Bounds
from serve.jobs.options import Options

OUTPUT = "s3://bucket/prefix, in a place that the server allows: the results are copied there"
WEBHOOK = "a URL that is told of the end, signed by HMAC-SHA256 as Standard Webhooks defines it"
OutputUri = Annotated[str | None, Field(max_length=4096, description=OUTPUT)]
Webhook = Annotated[str | None, Field(max_length=4096, description=WEBHOOK)]


class Video(BaseModel):
    """Properties declared by a video file."""

    width: int = Field(description="pixels, after rotation")
    height: int = Field(description="pixels, after rotation")
    rotation: int = Field(description="degrees, counter-clockwise")
    rate: str = Field(description="frames per second as a fraction, as 30000/1001")
    seconds: float = Field(description="0 if not declared")
    frames: int = Field(description="0 if not declared")
    codec: str
    audio: str | None = Field(description="codec of the sound; null without sound")
    notes: list[str] = Field([], description="what the result will not have, and why")


class JobModel(BaseModel):
    """A submitted video."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    name: str = Field(description="the client's name of the video")
    source: str = Field(description="'upload', or the video's URI")
    options: Options
    video: Video | None
    model: str = Field(description="export id of the model")
    created: float = Field(description="seconds since 1970")
    started: float | None
    ended: float | None
    progress: float = Field(ge=0, le=1)
    frames: int = Field(description="frames done")
    frames_total: int = Field(description="0 if unknown")
    objects: int = Field(description="detections")
    frames_damaged: int = Field(description="frames that could not be decoded")
    frames_per_second: float | None
    seconds_left: float | None
    error: str | None = Field(description="why it failed; of a queued job, why its last try did")
    next_try: float | None = Field(
        description="seconds since 1970; a queued job whose last try failed waits until then"
    )
    output_uri: str | None = Field(None, description="where the results are copied to")
    batch: str | None = Field(None, description="id of the batch that it is part of")
    ticket: str = Field(
        description="?ticket=... in the URL gives read access to this job without a token, for 12 hours"
    )


class JobList(BaseModel):
    """Newest first."""

    jobs: list[JobModel]
    next: str | None = Field(description="the `cursor` of the next page; null on the last")


class JobRequest(BaseModel):
    """A job with a video that the server fetches itself."""

    model_config = ConfigDict(extra="forbid")

    uri: str = Field(
        min_length=1,
        max_length=4096,
        description="file:///... or s3://..., in a place that the server allows",
    )
    options: Options = Options()
    output_uri: OutputUri = None
    webhook: Webhook = None


class UploadRequest(BaseModel):
    """A video that will be sent to the store of files."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, description="of the video, as drive.mp4")
    bytes: int = Field(gt=0, description="size of the video; a PUT of another size is refused")


class UploadPlace(BaseModel):
    """Where to send it."""

    uri: str = Field(description="for the job's `uri`, once the video was sent")
    url: str = Field(description="for a PUT of the video, without a token")
    headers: dict[str, str] = Field(description="which the PUT must have")
    seconds: int = Field(description="for which the address is valid")


class BatchRequest(BaseModel):
    """Jobs with the same options, of videos that the server fetches itself."""

    model_config = ConfigDict(extra="forbid")

    uris: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        min_length=1, max_length=1000, description="file:///... or s3://..., in places that the server allows"
    )
    options: Options = Options()
    output_uri: OutputUri = None
    webhook: Webhook = None


class BatchCounts(BaseModel):
    """Its jobs by state."""

    queued: int
    running: int
    done: int
    failed: int
    cancelled: int
    removed: int


class BatchModel(BaseModel):
    """Many videos submitted at once; their jobs: /v1/jobs?batch=ID."""

    id: str
    state: Literal["running", "done"] = Field(description="done: all its jobs have ended")
    created: float = Field(description="seconds since 1970")
    ended: float | None
    jobs_total: int
    jobs: BatchCounts
    progress: float = Field(ge=0, le=1)
    frames: int = Field(description="frames done")
    objects: int = Field(description="detections")
    output_uri: str | None


class BatchList(BaseModel):
    """Newest first."""

    batches: list[BatchModel]
    next: str | None = Field(description="the `cursor` of the next page; null on the last")


class BatchResult(BaseModel):
    """What became of one video."""

    job: str
    source: str
    state: Literal["done", "failed", "cancelled"]
    error: str | None
    model: str = Field(description="export id of the model")
    frames: int
    frames_damaged: int
    objects: int
    notes: list[str]
    files: dict[str, str] = Field(description="S3 URIs with output_uri, else paths on this server")


class BatchManifest(BatchModel):
    """Also written to output_uri/manifest.json."""

    results: list[BatchResult] = Field(description="in the order of the request")


class Delivery(BaseModel):
    """A message to a webhook."""

    id: str = Field(description="the header webhook-id: the same at every try")
    event: str
    host: str | None = Field(description="of the webhook")
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    next_try: float | None = Field(description="seconds since 1970")
    ended: float | None
    error: str | None = Field(description="why the last try failed")


class Deliveries(BaseModel):
    """Oldest first."""

    deliveries: list[Delivery]


class Object(BaseModel):
    """A detected object."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="class")
    class_id: int = Field(description="counted from 1")
    score: float
    box: list[float] = Field(description="[ymin, xmin, ymax, xmax], normalised (0 to 1)")
    pixels: list[float] = Field(description="[left, top, right, bottom] in pixels")


class ImageAnswer(BaseModel):
    """Size and detections of one image."""

    height: int
    width: int
    objects: list[Object]


class DetectAnswer(BaseModel):
    """Detections of each image, in order."""

    model: str
    images: list[ImageAnswer]


class Rle(BaseModel):
    """A mask as COCO's compressed run-length encoding: pycocotools.mask.decode reads it."""

    size: list[int] = Field(description="[height, width]")
    counts: str


class Region(BaseModel):
    """The pixels of one class."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(alias="class")
    class_id: int = Field(description="the value of its pixels in the mask, from 0")
    area: int = Field(description="pixels")
    share: float = Field(description="of the image's pixels")
    centroid: list[float] = Field(description="[x, y], the mean of its pixels' centres, in pixels")
    box: list[float] = Field(description="[ymin, xmin, ymax, xmax] around it, normalised (0 to 1)")
    pixels: list[float] = Field(description="[left, top, right, bottom] in pixels")
    segmentation: Rle


class SegmentedImage(BaseModel):
    """Size and regions of one image: one for each class that it shows."""

    height: int
    width: int
    objects: list[Region]


class SegmentAnswer(BaseModel):
    """Regions of each image, in order."""

    model: str
    images: list[SegmentedImage]


class ModelAnswer(BaseModel):
    """The served model with its manifest, the rollout, and the state of a replica."""

    model: str | None
    task: str = Field(description="detection or segmentation")
    classes: list[str]
    threshold: float | None
    manifest: dict[str, Any]
    rollout: dict[str, Any]
    replica: dict[str, Any]
    scopes: list[Literal["read", "submit", "admin"]] = Field(
        description="what the token of this request allows"
    )


class Promotion(BaseModel):
    """The rollout of a new model."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        min_length=1, max_length=4096, description="an export's folder, in a place that the server allows"
    )
    canary: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the work for the new model until it is judged; 1: replace at once",
    )
    images: int = Field(200, ge=1, le=10**9, description="images of both models after which it is judged")
    jobs: int = Field(
        20, ge=1, le=10**6, description="jobs, or minutes of image requests, after which it is judged"
    )
    errors: float = Field(0.01, ge=0, le=1, description="share of images it may fail on")
    fewer: float = Field(
        0.15, ge=0, le=1, description="share by which it may find fewer objects than the present model"
    )
    more: float = Field(0.5, ge=0, le=1e9, description="share by which it may find more objects")
    rate: float | None = Field(
        None, gt=0, le=1e9, description="sets both `fewer` and `more`", deprecated=True
    )

    def bounds(self) -> Bounds:
        """When it is promoted or rolled back."""
        fewer = self.fewer if self.rate is None else min(self.rate, 1.0)
        return Bounds(
            self.images, self.errors, fewer, self.more if self.rate is None else self.rate, self.jobs
        )
