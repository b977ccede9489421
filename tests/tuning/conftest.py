"""What the tests of tuning share: a study in a temporary folder, an empty MLflow store, and a Ray started once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3_machines import bucket, on_machine, s3_server, s3_store  # noqa: F401
from searches import about

from tuning.study.study import Study


@pytest.fixture
def open_study(tmp_path: Path) -> Iterator[Callable[..., Study]]:
    """Opens the study in the test's folder; called again, it is closed first, as if by another driver."""
    opened: list[Study] = []

    def open_it(folder: str = "street", **changes: object) -> Study:
        while opened:
            opened.pop().close()
        opened.append(Study.open(tmp_path / folder, about(**changes)))
        return opened[0]

    yield open_it
    for study in opened:
        study.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(store: Path, tmp_path: Path) -> str:
    """An empty MLflow store of the test's own."""
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy city, drawn once."""
    from trainers.datasets.opening import open_dataset

    cache = tmp_path_factory.mktemp("city")
    open_dataset(None, cache)
    return cache


@pytest.fixture
def furnished(city: Path, uri: str, tmp_path: Path) -> None:
    """The test's folder is a folder of studies whose first search has neither data to draw nor tables to make."""
    (tmp_path / "data").symlink_to(city)


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One Ray for all tests that need a real one: starting it takes longer than a search on curves."""
    from tuning.execution import ray_processes
    from tuning.execution.engine import QUIET

    here = str(Path(__file__).parent)
    root = str(Path(__file__).parents[2])
    # for this module only: a test of an installed wheel, in the same process later, must not find the checkout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([root, here]))
        for name, value in QUIET.items():
            patch.setenv(name, value)
        if root not in sys.path:
            sys.path.append(root)
        ray_processes.start(
            num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False,
            logging_level="ERROR",
        )  # fmt: skip
        yield
        ray_processes.stop()
