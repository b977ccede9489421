"""Shared fixtures: a small export that is made in seconds, a backend with it, and a whole deployment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / each) for each in ("", "webhooks", "jobs", "deployment", "masks")]


@pytest.fixture(scope="session")
def rectangles_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export's folder; see rectangles.py."""
    from rectangles import build

    return build(tmp_path_factory.mktemp("export") / "rectangles")


@pytest.fixture(scope="session")
def rectangles(rectangles_folder):
    from trainers.detection import export

    return export.read(rectangles_folder)


@pytest.fixture(scope="session")
def backend(rectangles):
    from serve import backends

    return backends.load("openvino", rectangles, 1)


@pytest.fixture
def batcher(backend):
    from serve.backends.batching import Batcher

    batcher = Batcher(backend, 8)
    yield batcher
    batcher.close()


@pytest.fixture(scope="module")
def server(rectangles_folder, tmp_path_factory):
    """A whole deployment in this process, shared by the tests of a module."""
    from servers import prepare, served

    from serve.deployment.settings import Settings
    from serve.jobs.limits import Limits

    data = tmp_path_factory.mktemp("serving")
    (data / "allowed").mkdir()
    limits = Limits(
        upload_bytes=3_000_000, image_bytes=1_000_000, pixels=400_000, seconds=60, images=4, free_bytes=0, queued=100,
        request_pixels=500_000,
    )  # fmt: skip
    settings = Settings(
        data=data / "data",
        limits=limits,
        threads=1,
        segment_frames=16,
        file_roots=(data / "allowed",),
        s3_prefixes=("s3://videos/in",),
        output_prefixes=("s3://videos/out", "s3://later"),
        webhook_hosts=("localhost",),
        model_roots=(rectangles_folder.parent,),
    )
    prepare(settings, rectangles_folder)
    with served(settings) as server:
        yield server


@pytest.fixture(scope="module")
def postgresql_server():
    """A PostgreSQL of the tests' own; tests are skipped where it is not installed."""
    import postgresql_server as servers

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", servers.PASSWORD)
        yield from servers.made()


@pytest.fixture
def postgresql(postgresql_server):
    """The address of a database that is empty."""
    import uuid

    import sqlalchemy

    from tuning.study.storage.postgresql import engine

    name = f"serving_{uuid.uuid4().hex[:8]}"
    made = engine(postgresql_server.address)
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    made.dispose()
    return postgresql_server.address.replace("/postgres", f"/{name}")
