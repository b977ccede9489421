"""Settings: what a deployment is told when it is started. Plain values, so that a Serve config file can hold them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from serve.jobs.limits import Limits
from trainers.errors import UserError


class Settings(BaseModel):
    """Of the whole deployment.

    data: folder for jobs, models and the record of both; `serve.run --prepare` makes it.
    file_roots: folders from which a job may name files; s3_prefixes: likewise.
    model_roots: folders from which models may be promoted. threads: CPU threads of a replica; None for all.
    batch: images a network call. jobs_at_once: videos that a replica works on together, so that one's frames fill
    another's batches. segment_frames: see serve.video.processing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    file_roots: tuple[Path, ...] = ()
    s3_prefixes: tuple[str, ...] = ()
    model_roots: tuple[Path, ...] = ()
    limits: Limits = Limits()
    threads: int | None = Field(None, ge=1)
    batch: int = Field(4, ge=1, le=512)
    jobs_at_once: int = Field(2, ge=1, le=64)
    segment_frames: int = Field(128, ge=1)

    @field_validator("data", "file_roots", "model_roots")
    @classmethod
    def _absolute(cls, value: Any) -> Any:
        """Replicas may have another working directory."""
        if isinstance(value, tuple):
            return tuple(path.absolute() for path in value)
        return value.absolute()

    @property
    def thread_count(self) -> int:
        """Decided."""
        return self.threads or os.cpu_count() or 1

    @property
    def jobs_folder(self) -> Path:
        """A folder a job."""
        return self.data / "jobs"

    @property
    def models_folder(self) -> Path:
        """A folder a model, by export id."""
        return self.data / "models"


def parsed(**values: object) -> Settings:
    """Settings of these values. Raises UserError."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"the setting {where}: {first['msg']}; not {first['input']!r}") from None
