"""What a person can get wrong in a space, or ask wrongly of one, is one line that says what to do."""

from dataclasses import replace

import optuna
import pytest

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.parts import augmentation, schedule
from search_spaces.parts.parameters import Range
from search_spaces.space import Space
from trainers.errors import UserError

CONDITIONS = Conditions(steps=111)


def line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unknown_space_names_the_close_ones():
    with pytest.raises(UserError) as error:
        search_spaces.get("retinnet")
    assert line(error).startswith("unknown space 'retinnet'; did you mean retinanet")
    with pytest.raises(UserError) as error:
        search_spaces.get("yolo")
    known = ", ".join(search_spaces.names())
    assert line(error) == f"unknown space 'yolo'; known are {known}"
    assert known.startswith("retinanet, mobilenet, efficientdet, all")


def test_two_spaces_of_one_name_are_refused_and_a_new_one_joins(monkeypatch):
    monkeypatch.setattr(search_spaces, "_registered", {})
    mine = Space("mine", search_spaces.get("mobilenet").branches)
    assert search_spaces.register(mine) is mine is search_spaces.get("mine")
    assert search_spaces.register(mine) is mine
    assert search_spaces.names() == (*search_spaces.MODULES, "mine")
    for name in ("mine", "all"):
        with pytest.raises(UserError) as error:
            search_spaces.register(replace(mine, name=name))
        assert line(error) == f"two spaces are called '{name}'; rename one of them"


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError) as error:
        Conditions(steps=10, preset="phone")
    assert line(error) == "unknown preset 'phone'; known are laptop, zoo"


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("WARMUP", Range(0.0, 0.5), "schedule: warmup 0.5 + hold 0.7 must be below 1"),
        (
            "WARMUP",
            Range(0.4, 0.1),
            "cosine.warmup: invalid range 0.4 to 0.1; it must be finite, with low <= high",
        ),
        ("STEP_FACTOR", Range(0.0, 0.5, log=True), "manual_step.factor_1: invalid range 0 to 0.5;"),
        ("STEP_FIRST", Range(0.05, 0.7), "drops must come in rising order"),
        ("COSINE_HOLD", Range(0.0, float("nan")), "cosine.hold: invalid range 0 to nan"),
        ("EXPONENTIAL_FINAL", Range(0.1, 2.0), "schedule.factor: must be less than 1, not 2.0"),
        ("KINDS", (), "schedule: the list of choices is empty"),
    ],
)
def test_an_impossible_schedule_value_is_refused_before_any_trial(monkeypatch, name, values, said):
    monkeypatch.setattr(schedule, name, values)
    with pytest.raises(UserError) as error:
        Space("mine", search_spaces.get("all").branches).rows(CONDITIONS)
    assert line(error).startswith("space 'mine'")
    assert said in line(error)


def test_an_impossible_learning_rate_is_refused_before_any_trial():
    branch = replace(search_spaces.get("mobilenet").branches[0], from_scratch={"adam": Range(1e-3, 20.0)})
    with pytest.raises(UserError) as error:
        Space("mine", (branch,)).rows(CONDITIONS)
    assert "schedule.base: must be less than or equal to 10, not 20.0" in line(error)


def test_an_image_size_that_a_detector_cannot_take_is_refused_with_the_sizes_that_work():
    with pytest.raises(UserError) as error:
        search_spaces.get("all").rows(Conditions(steps=100, image_size=160))
    assert "efficientdet needs an image size of at least 256 px and a multiple of 128" in line(error)


def test_an_unknown_augmentation_names_the_known_ones():
    with pytest.raises(UserError) as error:
        augmentation.suggest(optuna.trial.FixedTrial({}), ("flip", "mirror"), 160)
    assert line(error).startswith("unknown augmentation 'mirror'; known are flip, image_scale")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"retinanet.adam.learning_rate": 1.0}, "retinanet.adam.learning_rate=1.0 is not in"),
        ({"optimizer": "adamw"}, "optimizer='adamw' is not in"),
        ({"gradient_clip": True}, "parameter 'gradient_clip.norm' is missing"),
        ({"gray.probability": 0.2}, "parameter 'gray.probability' is not used with these choices"),
        ({"flip": 1}, "flip=1 is not in"),
    ],
)
def test_parameters_of_another_space_are_told_why_they_do_not_fit(change, said):
    space = search_spaces.get("retinanet")
    params = space.seeds(CONDITIONS)[0].params
    space.replay(params, CONDITIONS)
    with pytest.raises(UserError) as error:
        space.replay(params | change, CONDITIONS)
    assert line(error).startswith("space 'retinanet': ")
    assert said in line(error)


@pytest.mark.parametrize("detector", ["retinanet", "mobilenet"])
def test_a_single_detectors_trials_fit_all_once_the_detector_is_said(detector):
    single, everything = search_spaces.get(detector), search_spaces.get("all")
    for seed in single.seeds(CONDITIONS):
        alone = single.replay(seed.params, CONDITIONS).recipe
        assert everything.replay({"detector": detector} | seed.params, CONDITIONS).recipe == alone


def test_another_space_joins_all_on_request_and_the_study_finds_it_by_name():
    assert search_spaces.joined("all", []) == "all"
    name = search_spaces.joined("all", ["faster_rcnn", "faster_rcnn"])
    assert name == "all+faster_rcnn"
    space = search_spaces.get(name)
    assert space is search_spaces.get(name)
    assert set(space.models) == {*search_spaces.get("all").models, *search_spaces.get("faster_rcnn").models}
    assert set(search_spaces.get("all").models) == set(search_spaces.DETECTORS)


@pytest.mark.parametrize(
    ("space", "added", "says"),
    [
        (
            "all",
            ["nowhere"],
            "--with nowhere: not one that can join all; known are faster_rcnn, faster_rcnn_101",
        ),
        ("mobilenet", ["faster_rcnn"], "--with is for --space all, not mobilenet"),
    ],
)
def test_what_cannot_be_joined_is_refused(space, added, says):
    with pytest.raises(UserError) as error:
        search_spaces.joined(space, added)
    assert line(error) == says


def test_a_space_named_twice_is_refused():
    with pytest.raises(UserError) as error:
        search_spaces.get("all+faster_rcnn+faster_rcnn")
    assert line(error) == "all+faster_rcnn+faster_rcnn: names a space twice"
