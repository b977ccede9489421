"""Shared fixtures: two segmentation exports, and a deployment with one of them."""

from __future__ import annotations

import pytest

from serve import tasks
from serve.deployment.settings import Settings
from serve.jobs.limits import Limits


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Exports: `good`, and `blind` for green."""
    from coloured import build

    root = tmp_path_factory.mktemp("exports")
    return {"good": build(root / "good"), "blind": build(root / "blind", blind="green")}


@pytest.fixture(scope="module")
def masks(folders, rectangles_folder, tmp_path_factory):
    """A deployment with the good model."""
    from servers import choose, prepare, served

    limits = Limits(free_bytes=0, request_pixels=500_000)
    roots = (folders["good"].parent, rectangles_folder.parent)
    settings = Settings(
        data=tmp_path_factory.mktemp("serving"),
        limits=limits,
        threads=1,
        segment_frames=16,
        model_roots=roots,
    )
    prepare(settings, folders["good"])
    choose(tasks.read(folders["blind"]), settings, "openvino")
    with served(settings) as server:
        yield server
