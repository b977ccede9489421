"""Options of a job: what a client may choose. Shared by the HTTP API, the client, `serve.detect` and Detector."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Codec = Literal["vp8", "vp9", "av1", "h264"]
Container = Literal["webm", "mp4"]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Options(BaseModel):
    """Frozen, and validated when built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float | None = Field(
        None, ge=0, le=1, description="minimum score; default: the model's own threshold"
    )
    classes: tuple[ClassName, ...] | None = Field(
        None, min_length=1, max_length=1000, description="report only these classes; default: all"
    )
    every: int = Field(
        1, ge=1, le=1000, description="run the detector on every n-th frame; boxes stay until the next"
    )
    annotate: bool = Field(True, description="make a video with the boxes drawn in")
    codec: Codec = Field(
        "vp8",
        description="video codec; in mp4 vp9 by default; h264 is encoded by x264, which is under the GPL and patented",
    )
    container: Container | None = Field(
        None, description="file format; default: mp4 for h264, webm for the others"
    )
    audio: bool = Field(True, description="keep the sound")
    track: bool = Field(False, description="give each object an id that persists from frame to frame")
    preview: Literal["none", "gif", "webp"] = Field("none", description="also make a short animation")

    @model_validator(mode="before")
    @classmethod
    def _codec_of_mp4(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("container") == "mp4" and "codec" not in given:
            return given | {"codec": "vp9"}
        return given

    @model_validator(mode="after")
    def _codec_fits_container(self) -> Options:
        if self.codec == "h264" and self.container == "webm":
            raise ValueError("webm takes vp8, vp9 or av1, not h264; use the container mp4")
        if self.codec == "vp8" and self.container == "mp4":
            raise ValueError("mp4 takes vp9, av1 or h264, not vp8; use the container webm")
        return self

    @property
    def suffix(self) -> Container:
        """The container: as chosen, or the codec's default."""
        return self.container or ("mp4" if self.codec == "h264" else "webm")
