"""Before a search chooses its steps, it takes a few of each model whose speed on this machine is not known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from curve_trainer import DATASET

import search_spaces
from trainers.recipe import InitialWeights
from tuning.api.forecast import first_steps, speed
from tuning.api.forecast.sizing import sized
from tuning.api.forecast.speed import TABLE, TIMED, FirstSteps
from tuning.api.settings import Settings

PIXELS = 160 * 160 * 8  # of a step of the laptop preset
TESTS = str(Path(__file__).parents[1])


def asked(tmp_path: Path, **flags: object) -> Settings:
    given = {"workers": 2, "cpus_per_trial": 1, "gpus_per_trial": 0, "studies_dir": tmp_path, "time": 3600.0}
    return Settings("mobilenet", **given | flags)  # type: ignore[arg-type]


def taken(settings: Settings, lines: list[str] | None = None, trainer: str = "curve_trainer:CurveTrainer"):
    space = search_spaces.get(settings.space)
    conditions = settings.conditions(InitialWeights(source="none"))
    say = (lines if lines is not None else []).append
    return first_steps.taken(settings, space, conditions, DATASET, say, trainer)


@pytest.fixture
def steps_of_a_tenth(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", TESTS)
    monkeypatch.setenv("CURVE_TROUBLE", json.dumps({"pace": 0.1}))
    monkeypatch.setattr(first_steps, "SECONDS", 1.0)


def test_a_step_takes_as_long_as_it_took(steps_of_a_tenth, tmp_path):
    lines: list[str] = []
    found = taken(asked(tmp_path), lines)["mobilenet"].speed(4 * PIXELS)
    assert 0.4 <= found.step < 1.2  # what else runs here only adds to it
    assert 0.2 <= found.cold < 60
    assert found.source == TIMED
    assert lines == ["timing first steps of mobilenet, to choose steps that fit the time"]


@pytest.mark.parametrize(
    "flags",
    [{"time": None}, {"time": 600.0}, {"address": "head:6379"}, {"time": 900.0, "space": "all"}],
    ids=[
        "no time is given",
        "it would take much of the time",
        "other machines train",
        "three models in little time",
    ],
)
def test_none_are_taken_where_they_do_not_pay(tmp_path, flags):
    space = flags.pop("space", "mobilenet")
    settings = Settings(
        space, **{"time": 3600.0, "studies_dir": tmp_path, "workers": 1, "gpus_per_trial": 0} | flags
    )
    assert taken(settings, trainer="no.such:trainer") == {}


def test_a_model_whose_speed_is_known_takes_none(monkeypatch, tmp_path):
    known = {"mobilenet": speed.Speed(0.3, 6.0, 20.0, "as measured in study photos")}
    monkeypatch.setattr(first_steps.speed, "known", lambda *given: known)
    lines: list[str] = []
    assert taken(asked(tmp_path), lines, trainer="no.such:trainer") == {}
    assert lines == []


def test_a_model_that_cannot_train_here_is_left_to_the_search_which_says_why(tmp_path):
    assert taken(asked(tmp_path), trainer="no.such:trainer") == {}


def test_the_search_fits_its_steps_to_what_was_timed(tmp_path):
    settings = asked(tmp_path)
    space, conditions = search_spaces.get("mobilenet"), settings.conditions(InitialWeights(source="none"))

    def steps(seconds: float) -> int:
        timed = {"mobilenet": FirstSteps(seconds / PIXELS, 20.0)}
        return sized(settings, space, conditions, [], 2000, 1e12, timed).steps

    assert steps(4.0) == pytest.approx(steps(2.0) / 2, rel=0.01)
    assert steps(4.0) * 4.0 <= 3600 * 2 / 6


def test_first_steps_are_better_than_a_table_and_studies_of_this_machine_better_still(tmp_path):
    timed = {"mobilenet": FirstSteps(0.5 / PIXELS, 20.0)}
    pixels = {"mobilenet": 2 * PIXELS}
    assert speed.known(pixels, 1, tmp_path)["mobilenet"].source == TABLE
    assert speed.known(pixels, 1, tmp_path, first_steps=timed)["mobilenet"].step == pytest.approx(1.0)
