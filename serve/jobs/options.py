"""Options of a job: what a client may ask for. The HTTP API, the client and `--local` share them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Codec = Literal["vp9", "av1", "h264"]
Container = Literal["webm", "mp4"]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Options(BaseModel):
    """Frozen and checked when built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float | None = Field(
        None, ge=0, le=1, description="smallest score; the export's own unless given"
    )
    classes: tuple[ClassName, ...] | None = Field(
        None, min_length=1, max_length=1000, description="only these; all unless given"
    )
    every: int = Field(
        1, ge=1, le=1000, description="look at every n-th frame; its boxes stay until the next"
    )
    annotate: bool = Field(True, description="make a video with the boxes drawn in")
    codec: Codec = Field(
        "vp9", description="h264 is encoded by x264, which is under the GPL, and under patents"
    )
    container: Container | None = Field(None, description="webm, or mp4 for h264, unless given")
    audio: bool = Field(True, description="keep the sound")
    track: bool = Field(False, description="give each object an id that stays with it from frame to frame")
    preview: Literal["none", "gif", "webp"] = Field("none", description="a short animation, for a README")

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.codec == "h264" and self.container == "webm":
            raise ValueError("webm takes vp9 or av1, not h264; give the container mp4")
        return self

    @property
    def suffix(self) -> Container:
        """The container, decided."""
        return self.container or ("mp4" if self.codec == "h264" else "webm")
