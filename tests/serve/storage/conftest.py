"""A bucket of moto's, and machines whose files are in it."""

from __future__ import annotations

import boto3
import clips
import pytest
import requests
from servers import prepare

from serve.deployment.settings import Settings
from serve.jobs.limits import Limits
from serve.storage.opening import open_files_store


@pytest.fixture
def bucket(monkeypatch):
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10).raise_for_status()  # of the test before
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="videos")
    yield s3
    running.stop()


@pytest.fixture
def machine(bucket, postgresql, tmp_path, rectangles_folder):
    """The settings of a machine, by its name: its folder is its own."""
    open_files_store.cache_clear()  # of the bucket of the test before

    def settings(name: str) -> Settings:
        return Settings(
            data=tmp_path / name, database=postgresql, files="s3://videos/serving", limits=Limits(free_bytes=0),
            threads=1, segment_frames=12, jobs_at_once=2,
        )  # fmt: skip

    prepare(settings("first"), rectangles_folder)
    yield settings
    open_files_store.cache_clear()


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", 60)
