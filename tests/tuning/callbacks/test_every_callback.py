"""The contract of a callback: it hears of every event of a search, in every state, and changes nothing of it."""

from __future__ import annotations

import importlib
import io
import math
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest
from curve_trainer import DATASET
from rich.console import Console
from searches import run_here, search_of

import tuning.callbacks
from tuning.callbacks.metrics import Metrics
from tuning.callbacks.pictures import Pictures
from tuning.callbacks.progress import Progress
from tuning.callbacks.retention import Retention
from tuning.callbacks.summary import SummaryFile
from tuning.callbacks.uploads import Uploads
from tuning.search import callback as callbacks
from tuning.search.limits.meter import Meter
from tuning.search.search import Search
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.tracking.callback import Tracking

# a new callback of this package joins by a line here; the first test holds that none is left out
MAKE: dict[type[callbacks.Callback], Callable[[Study, Path], callbacks.Callback]] = {
    Progress: lambda study, folder: Progress(Console(file=io.StringIO())),
    SummaryFile: lambda study, folder: SummaryFile(study),
    Retention: lambda study, folder: Retention(study, 2),
    Pictures: lambda study, folder: Pictures(study, DATASET, lambda number: None),
    Uploads: lambda study, folder: Uploads(study),
    Metrics: lambda study, folder: Metrics(
        study, Meter(study), gauges=lambda: lambda name, value, labels: None
    ),
    Tracking: lambda study, folder: Tracking(study, f"sqlite:///{folder / 'mlflow.db'}", None, 90),
}
EVERY = pytest.mark.parametrize("kind", MAKE, ids=lambda kind: kind.__name__)


def following(search: Search, made: callbacks.Callback) -> None:
    """What `tuning.run` does to those that show something."""
    if isinstance(made, Progress):
        made.follow(search)


def test_every_callback_of_the_package_is_under_this_contract():
    for module in pkgutil.iter_modules(tuning.callbacks.__path__, "tuning.callbacks."):
        importlib.import_module(module.name)
    ours = {kind for kind in callbacks.Callback.__subclasses__() if kind.__module__.startswith("tuning.")}
    assert ours == set(MAKE)


@pytest.mark.slow
@EVERY
def test_a_search_is_the_same_with_it_as_without(kind, open_study, tmp_path):
    def outcome(folder: str, watched: bool) -> list[tuple[object, ...]]:
        study = open_study(folder)
        made = MAKE[kind](study, tmp_path)
        search = search_of(study, 7, (made,) if watched else ())
        following(search, made)
        run_here(search)
        return [(r.number, r.recipe_id, r.state, [g.value for g in r.rungs]) for r in study.records()]

    assert outcome("with", True) == outcome("without", False)


@EVERY
def test_it_takes_up_a_study_that_was_interrupted_with_trials_in_every_state(kind, open_study, tmp_path):
    first = search_of(open_study(), 6)
    run_here(first, steps=9)
    first.interrupt()
    study = open_study()
    states = {record.state for record in study.records()}
    assert "interrupted" in states
    made = MAKE[kind](study, tmp_path)
    search = search_of(study, 6, (made,))
    following(search, made)
    run_here(search)
    assert all(record.verdict is not None and record.verdict.final for record in study.records())


@EVERY
def test_it_hears_of_a_lost_worker_a_failure_and_a_nan(kind, open_study, tmp_path):
    study = open_study()
    made = MAKE[kind](study, tmp_path)
    search = search_of(study, 3, (made,))
    following(search, made)
    first = search.propose()
    search.report(StepResult(first.number, 5, "progress", 1.0, (5,), {"training_loss/total": [math.nan]}))
    search.lost(first.number)
    search.report(StepResult(first.number, 5, "failed", reason="total loss is nan at step 6"))
    second = search.propose()
    search.report(StepResult(second.number, 10, "rung", metrics={"mAP": math.nan}))
    third = search.propose()
    search.crashed(third.number, "its worker process died")
    assert {record.state for record in study.records()} == {"failed"}


@EVERY
def test_it_follows_an_objective_to_minimize(kind, open_study, tmp_path):
    study = open_study("loss", objective="validation_loss/total")
    made = MAKE[kind](study, tmp_path)
    search = search_of(study, 4, (made,))
    following(search, made)
    run_here(search)
    values = [record.value for record in study.records() if record.state == "completed"]
    assert values
