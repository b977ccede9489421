"""What the tests of a search share: a space, a study in a temporary folder, and a Ray that is started once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from curve_trainer import DATASET, CurveTrainer

import search_spaces
from search_spaces.conditions import Conditions
from trainers.metrics import Metrics
from tuning import manifest
from tuning.halving import Halving
from tuning.manifest import Manifest
from tuning.observer import Observer
from tuning.proposer import Proposer
from tuning.result import StepResult
from tuning.search import Search
from tuning.study import Study

SPACE = search_spaces.get("mobilenet")
CONDITIONS = Conditions(steps=90)


def about(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "study": "street",
        "space": "mobilenet",
        "space_hash": "abc",
        "data": manifest.of_data(DATASET),
        "preset": "laptop",
        "max_steps": 90,
        "image_size": None,
        "batch_size": None,
        "weights": "none",
        "reduction_factor": 3,
        "seed": 1,
        "versions": manifest.versions(),
    }
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


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


def search_of(
    study: Study, trials: int, observers: tuple[Observer, ...] = (), seeds: int = 0, **rule: object
) -> Search:
    proposer = Proposer(lambda trial: SPACE.suggest(trial, CONDITIONS), study.manifest.seed)
    halving = Halving((10, 30, 90), **rule)  # type: ignore[arg-type]
    return Search(study, proposer, halving, trials, SPACE.seeds(CONDITIONS)[:seeds], observers)


def run_here(search: Search, steps: int | None = None) -> None:
    """Run a search in this process on analytic curves, one trial at a time; at most `steps` results."""
    while (record := search.propose()) is not None:
        trainer = CurveTrainer(DATASET)
        trainer.start(recipe_of(record.recipe))
        trainer._step = record.step
        while True:
            if steps is not None:
                if steps == 0:
                    return
                steps -= 1
            rungs = search.halving.rungs_of(record.number)
            trainer.train(next(rung for rung in rungs if rung > trainer.step))
            metrics: Metrics = trainer.evaluate()
            result = StepResult(
                record.number, trainer.step, "rung", metrics=metrics.flat(),
                seconds_training=trainer.step * 0.1, seconds_overhead=1.0,
            )  # fmt: skip
            if not search.report(result):
                break


def recipe_of(fields: object):
    from trainers import recipe

    return recipe.build(dict(fields))  # type: ignore[call-overload]


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
def local_ray() -> Iterator[None]:
    """One Ray for all tests that need a real one: starting it takes longer than a search on curves."""
    import ray

    from tuning.engine import QUIET

    here = str(Path(__file__).parent)
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, here])
    os.environ.update(QUIET)
    if root not in sys.path:
        sys.path.append(root)
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20,
        log_to_driver=False, logging_level="ERROR",
    )  # fmt: skip
    yield
    ray.shutdown()
