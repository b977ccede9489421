"""An S3 server over HTTP with one empty bucket, and machines: each with a cache of its own."""

import os

import boto3
import pytest
import requests

from tuning.stores import location
from tuning.stores.opening import open_store

BUCKET = "studies"


@pytest.fixture(scope="session")
def s3_server():
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(s3_server, tmp_path, monkeypatch):
    """A client of an S3 with one empty bucket; this process finds it as a user's would."""
    requests.post(f"{s3_server}/moto-api/reset", timeout=10).raise_for_status()
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(location.CACHE_VARIABLE, str(tmp_path / "machine-1"))
    made = boto3.client("s3", region_name="us-east-1")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def s3_store(bucket):
    return open_store(f"s3://{BUCKET}/here")


@pytest.fixture
def on_machine(bucket, tmp_path, monkeypatch):
    """Go on as another machine, which has its own disk; returns its working copy."""

    def go(name: str):
        monkeypatch.setenv(location.CACHE_VARIABLE, str(tmp_path / name))
        return location.studies_folder(f"s3://{BUCKET}/here")

    return go
