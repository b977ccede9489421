"""Settings of a deployment. Plain values, so that a Ray Serve config file can hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from serve.jobs.limits import Limits
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here

MAX_MAP_DROP = 0.005  # that a quantized network may lose


class Settings(BaseModel):
    """Frozen, and validated when built.

    data: folder for jobs, models, tokens and the database; `serve.run --prepare` creates it.
    database: postgresql://user@host/database of the jobs, for replicas on several machines that share `data`; "" for
    SQLite in `data`.
    files: s3://bucket/prefix of the files of jobs and models, for machines that share no disk: `data` is then each
    machine's own, and tokens are in `database`; "" for `data`. presigned: whether large results are sent by the store
    itself, at addresses that the server signs.
    deployment: id of the deployment that `data` must hold; `serve.deployment:build` fills it in, so that a replica on a
    machine that does not share the folder refuses to start.
    file_roots, s3_prefixes: folders and prefixes from which jobs may use videos by file:// and s3:// URI.
    output_prefixes: S3 prefixes to which results may be copied. webhook_hosts: see serve.webhooks.addresses.resolve.
    model_roots: folders from which models may be promoted. threads: CPU threads of a replica; None for all.
    batch: largest batch of the network; None for the best one on this machine. max_map_drop: mAP that a quantized
    network may lose against float32; 0: none is used. jobs_at_once: videos that a replica processes concurrently, so
    that frames of one fill the batches of another. segment_frames: see serve.video.pipeline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    database: str = ""
    files: str = ""
    presigned: bool = False
    deployment: str | None = None
    file_roots: tuple[Path, ...] = ()
    s3_prefixes: tuple[str, ...] = ()
    output_prefixes: tuple[str, ...] = ()
    webhook_hosts: tuple[str, ...] = ()
    model_roots: tuple[Path, ...] = ()
    limits: Limits = Limits()
    threads: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1, le=512)
    max_map_drop: float = Field(MAX_MAP_DROP, ge=0, le=1)
    jobs_at_once: int = Field(2, ge=1, le=64)
    segment_frames: int = Field(128, ge=1)

    @field_validator("database")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if value:
            from tuning.study.storage.postgresql import check_url  # imports SQLAlchemy

            check_url(value, "--database")
        return value

    @field_validator("files")
    @classmethod
    def _store(cls, value: str) -> str:
        if value and not value.startswith("s3://"):
            raise ValueError("must be s3://bucket/prefix")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.files and not self.database:
            raise ValueError("files in a store take a database of all machines, too (--database)")
        if self.presigned and not self.files:
            raise ValueError("only files in a store have presigned addresses (--files)")
        return self

    @field_validator("data", "file_roots", "model_roots")
    @classmethod
    def _absolute(cls, value: Any) -> Any:
        """Absolute, because replicas may have another working directory."""
        if isinstance(value, tuple):
            return tuple(path.absolute() for path in value)
        return value.absolute()

    @property
    def place(self) -> str:
        """Where the deployment keeps its files, for messages."""
        return self.files or str(self.data)

    @property
    def thread_count(self) -> int:
        """CPU threads of a replica."""
        return self.threads or cpus_here()

    @property
    def jobs_folder(self) -> Path:
        """One folder per job."""
        return self.data / "jobs"

    @property
    def models_folder(self) -> Path:
        """One folder per model, named by export id."""
        return self.data / "models"


def parsed(**values: object) -> Settings:
    """Settings from these values. Raises UserError naming the first invalid one."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        if not where:
            raise UserError(problem) from None
        raise UserError(f"invalid setting {where}: {problem}; not {first['input']!r}") from None
