"""Fixtures of the tests of infra/."""

from __future__ import annotations

from pathlib import Path

import pytest
from kustomized import Resource, rendered

INFRA = Path(__file__).parents[2] / "infra"
OVERLAYS = ("kind", "gpu-spot", "serving-many")


@pytest.fixture(scope="module", params=OVERLAYS)
def resources(request) -> list[Resource]:
    return rendered(INFRA / "kubernetes" / "overlays" / request.param)
