"""How many graphs a search needs, and what that says of its duration and its number of workers."""

from __future__ import annotations

import pytest
from searches import CONDITIONS

import search_spaces
from search_spaces.conditions import Conditions
from tuning.api.forecast.graphs import DRAWN, expected_graphs
from tuning.api.forecast.memory import WORKER_BYTES, memory_of_worker
from tuning.api.forecast.plan import plan
from tuning.api.forecast.side_by_side import gain
from tuning.api.forecast.speed import Speed
from tuning.api.resolved import Resolved
from tuning.api.settings import Settings
from tuning.search.limits.budget import Budget
from tuning.search.schedulers.halving import Halving

HALVING = Halving((30, 90), mode="promote")


def test_a_model_that_varies_no_graph_has_one_and_a_family_has_nearly_one_for_each_trial():
    assert expected_graphs(search_spaces.get("mobilenet"), CONDITIONS, 200) == 1
    family = search_spaces.get("retinanet_family")
    conditions = Conditions(steps=270)
    assert [expected_graphs(family, conditions, trials) for trials in (1, 4)] == [1, 4]
    assert 150 < expected_graphs(family, conditions, 200) <= 200


def test_what_a_search_may_choose_from_limits_its_graphs():
    only = (
        ("backbone", ("resnet50",)),
        ("neck", ("fpn",)),
        ("head", ("free_anchor",)),
        ("multi_scale", ("off",)),
    )
    family, conditions = search_spaces.get("retinanet_family"), Conditions(steps=270, only=only)
    assert expected_graphs(family, conditions, DRAWN) == expected_graphs(family, conditions, 9 * DRAWN) == 2


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_forecast_counts_each_graph_that_is_built(workers):
    speeds = {"mobilenet": Speed(0.5, 4.0, 20.0, "as measured in this study")}
    one, each = (
        plan(HALVING, Budget(trials=12), speeds, workers, 10, graphs=graphs).seconds
        for graphs in (lambda trials: 1, lambda trials: trials)
    )
    assert each - one == pytest.approx(12 * 20 / workers - 20)


def test_workers_side_by_side_gain_the_more_the_more_of_a_trial_cannot_be_shared():
    def gained(space: str, steps: int, most: int = 2) -> float:
        conditions = Conditions(steps=steps)
        halving = Halving((steps // 9, steps // 3, steps), mode="promote")
        return gain(search_spaces.get(space), conditions, halving, 12, 2, most)

    assert gained("retinanet", 900) < gained("retinanet_family", 900) < gained("retinanet_family", 90)
    assert 1 < gained("mobilenet", 900) <= 2
    assert gained("mobilenet", 900, most=1) == 1


def test_two_trials_of_the_family_train_at_once_on_two_cpus(monkeypatch):
    monkeypatch.setattr("tuning.api.settings.cpus_here", lambda: 2)
    monkeypatch.setattr("tuning.api.settings.gpus_here", lambda: 0)
    monkeypatch.setattr("tuning.api.settings.memory_here", lambda: 64 * 2**30)
    assert Settings("retinanet_family", trials=12).at_once == 2
    assert Settings("faster_rcnn", trials=12).at_once == 1


def test_disk_and_memory_are_those_of_the_largest_trial_that_may_be_proposed():
    family = search_spaces.get("retinanet_family")

    def parameters(*only: tuple[str, tuple[str, ...]]) -> int:
        return family.branches[0].most_parameters(Conditions(steps=270, only=only))

    small = parameters(("backbone", ("resnet50",)), ("neck", ("fpn",)))
    assert small == family.branches[0].about.cost.parameters
    assert parameters(("backbone", ("resnet50",))) == small + 9 * 4_000_000
    assert parameters() > parameters(("neck", ("fpn",))) > 200e6
    assert memory_of_worker(family, Conditions(steps=270)) > 6e9
    assert memory_of_worker(search_spaces.get("retinanet"), Conditions(steps=270)) == WORKER_BYTES
    assert (
        Resolved(Settings("retinanet_family", trials=12), family, Conditions(steps=270))
        .plan()
        .checkpoint_bytes
        > 2.8e9
    )
