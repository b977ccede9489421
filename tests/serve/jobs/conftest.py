"""Fixtures: a worker on a folder of its own, and a short video."""

from __future__ import annotations

import clips
import pytest
from servers import prepare
from worker import FRAMES, Worker

from serve.deployment.settings import Settings
from serve.jobs import running
from serve.jobs.limits import Limits


@pytest.fixture
def worker(tmp_path, rectangles_folder, monkeypatch):
    settings = Settings(
        data=tmp_path / "data",
        limits=Limits(free_bytes=0),
        threads=1,
        segment_frames=8,
        file_roots=(tmp_path,),
    )
    prepare(settings, rectangles_folder)
    monkeypatch.setattr(running, "pause", lambda faults: 0.0)
    worker = Worker(settings)
    yield worker
    worker.models.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("clips") / "clip.mp4", FRAMES)
