"""An S3 server for tests, with one empty bucket."""

import os

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer
from s3_bucket import BUCKET

from trainers.datasets.s3 import fetching


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """A client of an empty S3 that has one bucket, which the environment leads to."""
    requests.post(f"{server}/moto-api/reset", timeout=10).raise_for_status()
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(fetching.CACHE_VARIABLE, str(tmp_path / "s3"))
    made = boto3.client("s3", region_name="us-east-1")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture
def no_credentials(client, monkeypatch):
    """An environment in which nobody has logged in."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
