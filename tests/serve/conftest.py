"""What the serving tests share: an export that is made in seconds, and a backend that has it loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def rectangles_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export's folder; see rectangles.py."""
    from rectangles import build

    return build(tmp_path_factory.mktemp("export") / "rectangles")


@pytest.fixture(scope="session")
def rectangles(rectangles_folder):
    from trainers import export

    return export.read(rectangles_folder)


@pytest.fixture(scope="session")
def backend(rectangles):
    from serve import backends

    return backends.load("openvino", rectangles, 1)


@pytest.fixture
def batcher(backend):
    from serve.batching import Batcher

    batcher = Batcher(backend, 8)
    yield batcher
    batcher.close()
