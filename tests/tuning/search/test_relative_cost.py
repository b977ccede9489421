"""A trial of a family is charged what its own backbone costs, before it has taken a step."""

from __future__ import annotations

import pytest

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.parts.restriction import parse
from trainers import model as models
from trainers import recipe as recipes
from tuning.search.limits.pace import Pace, relative_cost
from tuning.study.spent import Spent
from tuning.study.trial_record import Rung, TrialRecord

FAMILY = models.get("retinanet_family")
LARGE = FAMILY.relative_cost({"backbone": "convnext_large"})


def record(number: int, backbone: str, seconds_a_step: float | None) -> TrialRecord:
    fields = recipes.build({"model": FAMILY.name, **FAMILY.presets["laptop"], "backbone": backbone}).to_dict()
    rungs = ()
    if seconds_a_step is not None:
        training = 30 * seconds_a_step
        rungs = (Rung(30, 0.1, training + 6, training, 0.0, {}, "pause", "", 1, 1, None, None),)  # type: ignore[arg-type]
    return TrialRecord(number, "running", None, "", fields, rungs, {}, Spent(0, 0.0, 0.0))


def test_one_backbones_pace_tells_that_of_another():
    pace = Pace([record(0, "resnet50", 0.5)])
    small, large = record(1, "resnet50", None), record(2, "convnext_large", None)
    cost = [
        pace.cost([0, 30], each.model, each.number, relative_cost(each)).seconds for each in (small, large)
    ]
    assert cost == pytest.approx([30 * 0.5 + 6, 30 * 0.5 * LARGE + 6])
    assert LARGE > 3


def test_a_trial_that_was_measured_is_charged_what_it_took():
    pace = Pace([record(0, "resnet50", 0.5), record(1, "convnext_large", 2.0)])
    own = record(1, "convnext_large", 2.0)
    assert pace.cost([30, 60], own.model, own.number, relative_cost(own)).seconds == pytest.approx(30 * 2 + 6)


def test_a_new_trial_may_be_as_expensive_as_the_largest_so_far():
    pace = Pace([record(0, "resnet50", 0.5), record(1, "convnext_large", 0.5 * LARGE)])
    assert pace.cost([0, 30]).seconds == pytest.approx(30 * 0.5 * LARGE + 6)


def test_models_of_one_size_are_charged_as_ever():
    assert models.get("mobilenet").relative_cost({"image_size": 640}) == 1


def test_the_plan_knows_what_the_backbones_that_are_left_cost():
    branch = search_spaces.get("retinanet_family").branches[0]
    whole = branch.relative_costs(Conditions(steps=9))
    assert whole["resnet50"] == 1
    left = branch.relative_costs(Conditions(steps=9, only=parse(["backbone=resnet50,mobilenet_v2"])))
    assert set(left) == {"resnet50", "mobilenet_v2"}


def test_each_pathway_of_a_neck_is_charged_too():
    fpn = {"backbone": "resnet50", "neck": "fpn", "pathways": 9}
    plain, three, nine = (
        FAMILY.relative_cost(fpn | more) for more in ({}, {"neck": "fpg", "pathways": 3}, {"neck": "fpg"})
    )
    assert plain == 1.0
    assert nine - plain == pytest.approx(3 * (three - plain))
    assert nine > 1.5
