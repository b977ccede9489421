from __future__ import annotations

import math

import pytest

from trainers.errors import UserError
from tuning.halving import Halving, Score, rung_steps
from tuning.plan import expected_arrivals


def halving_with(*scores: Score, quorum: int = 3) -> Halving:
    halving = Halving((10, 30, 90), reduction_factor=3, quorum=quorum)
    for trial, score in enumerate(scores):
        halving.record(trial, 10, score)
    return halving


@pytest.mark.parametrize(
    ("max_steps", "factor", "rungs"),
    [
        (1, 3, (1,)),
        (2, 3, (1, 2)),
        (90, 3, (30, 90)),
        (120, 3, (40, 120)),
        (300, 3, (100, 300)),
        (360, 3, (40, 120, 360)),
        (10_000, 3, (371, 1112, 3334, 10_000)),
        (25_000, 2, (3125, 6250, 12_500, 25_000)),
    ],
)
def test_rungs_divide_the_budget_by_the_factor_and_begin_where_detectors_have_learned(
    max_steps, factor, rungs
):
    assert rung_steps(max_steps, factor) == rungs


def test_a_budget_without_a_step_is_refused():
    with pytest.raises(UserError, match="--max-steps must be at least 1"):
        rung_steps(0)


def test_nobody_is_stopped_before_the_quorum():
    halving = halving_with(Score(0.5), Score(0.01))
    assert halving.judge(1, 10).go_on
    halving.record(2, 10, Score(0.02))
    assert not halving.judge(2, 10).go_on


def test_one_in_factor_goes_on():
    scores = [Score(value / 100) for value in range(30)]
    halving = halving_with(*scores)
    assert sum(halving.judge(trial, 10).go_on for trial in range(30)) == 10


def test_nobody_is_stopped_at_the_last_rung():
    halving = halving_with(quorum=1)
    for trial, value in enumerate((0.5, 0.4, 0.3, 0.2)):
        halving.record(trial, 90, Score(value))
    assert all(halving.judge(trial, 90).go_on for trial in range(4))


def test_equal_maps_are_told_apart_by_map50_and_then_by_loss():
    halving = halving_with(
        Score(0.0001, 0.02, 3.0), Score(0.0002, 0.05, 9.0), Score(0.0, 0.05, 1.0), Score(0.0, 0.0, 2.0)
    )
    judged = [halving.judge(trial, 10) for trial in range(4)]
    assert [judgement.rank for judgement in judged] == [3, 2, 1, 4]
    assert [judgement.go_on for judgement in judged] == [False, False, True, False]
    assert "broken by mAP50: 0.020 to 0.050" in judged[0].reason(Score(0.0001, 0.02, 3.0))
    assert "broken by validation loss: 9 to 1" in judged[1].reason(Score(0.0002, 0.05, 9.0))


def test_trials_that_are_equal_in_all_go_on_together():
    halving = halving_with(*[Score(0.0)] * 6)
    assert all(halving.judge(trial, 10).go_on for trial in range(6))


@pytest.mark.parametrize("bad", [Score(math.nan), Score(math.inf), Score(0.1, 0.1, math.nan)])
def test_what_is_not_a_number_is_no_score(bad):
    with pytest.raises(ValueError, match="has failed"):
        halving_with(bad)


def test_a_score_said_twice_counts_once():
    halving = halving_with(Score(0.5), Score(0.4), Score(0.3))
    halving.record(2, 10, Score(0.9))
    assert halving.judge(2, 10).rank == 3


def test_expected_arrivals_are_those_of_random_orders():
    import random

    shuffler = random.Random(5)
    arrived = [0, 0]
    rounds = 400
    for _ in range(rounds):
        halving = Halving((10, 30), 3, 3)
        order = [value / 100 for value in range(20)]
        shuffler.shuffle(order)
        for trial, value in enumerate(order):
            halving.record(trial, 10, Score(value))
            arrived[0] += 1
            arrived[1] += halving.judge(trial, 10).go_on
    expected = expected_arrivals(Halving((10, 30), 3, 3), 20)
    assert expected[0] == 20
    assert expected[1] == pytest.approx(arrived[1] / rounds, abs=1.0)
