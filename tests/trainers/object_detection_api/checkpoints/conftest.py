"""The zoo's server, and one of its archives, as tests stand in for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from zoo_server import NAME, Zoo, serving, write_archive
from zoo_variables import published_variables


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("zoo") / "published.tar.gz", published_variables(NAME))
