from __future__ import annotations

import made_study
import pytest


@pytest.fixture(scope="session")
def street(tmp_path_factory):
    """The folder of a finished study of 14 trials of three detectors."""
    folder = tmp_path_factory.mktemp("studies") / "street"
    made_study.make(folder, 14, space="all", images=24)
    return folder
