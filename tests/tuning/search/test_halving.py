from __future__ import annotations

import dataclasses
import itertools
import math
import random

import pytest
from searches import OBJECTIVE, SPACE, score

import search_spaces
from search_spaces.space import Space
from trainers import model as models
from trainers.errors import UserError
from trainers.objective import Score
from tuning.api.settings import Settings
from tuning.search.limits.expectation import expected_arrivals
from tuning.search.scheduler import rung_steps
from tuning.search.schedulers.halving import Halving


def halving_with(*scores: Score, quorum: int = 3) -> Halving:
    halving = Halving((10, 30, 90), reduction_factor=3, quorum=quorum)
    for trial, each in enumerate(scores):
        halving.record(trial, 10, each)
    return halving


@pytest.mark.parametrize(
    ("max_steps", "factor", "rungs"),
    [
        (1, 3, (1,)),
        (2, 3, (1, 2)),
        (90, 3, (30, 90)),
        (120, 3, (40, 120)),
        (300, 3, (34, 100, 300)),
        (360, 3, (40, 120, 360)),
        (10_000, 3, (371, 1112, 3334, 10_000)),
        (25_000, 2, (3125, 6250, 12_500, 25_000)),
    ],
)
def test_rungs_divide_the_budget_by_the_factor_and_begin_where_detectors_have_learned(
    max_steps, factor, rungs
):
    assert rung_steps(max_steps, factor) == rungs


def test_where_a_step_is_long_the_first_rung_is_a_fraction_of_a_full_training():
    assert rung_steps(51, first_rung=1) == (2, 6, 17, 51)
    assert rung_steps(51) == (17, 51)


def test_a_search_takes_the_first_rung_of_its_model(monkeypatch):
    monkeypatch.setattr(models, "_registered", dict(models._registered))
    monkeypatch.setattr(search_spaces, "_registered", dict(search_spaces._registered))
    by_epochs = models.register(dataclasses.replace(models.get("mobilenet"), name="by_epochs", first_rung=1))
    branch = dataclasses.replace(SPACE.branches[0], model=by_epochs.name)
    search_spaces.register(Space("by_epochs", (branch,)))
    assert Settings("by_epochs", max_steps=51).new_scheduler().rungs == (2, 6, 17, 51)
    assert Settings("mobilenet", max_steps=51).new_scheduler().rungs == (17, 51)


def test_a_budget_without_a_step_is_refused():
    with pytest.raises(UserError, match="--max-steps must be at least 1"):
        rung_steps(0)


def test_nobody_is_stopped_before_the_quorum():
    halving = halving_with(score(0.5), score(0.01))
    assert halving.judge(1, 10).decision == "continue"
    halving.record(2, 10, score(0.02))
    assert halving.judge(2, 10).decision == "stop"


def test_one_in_factor_goes_on():
    scores = [score(value / 100) for value in range(30)]
    halving = halving_with(*scores)
    assert sum(halving.judge(trial, 10).decision == "continue" for trial in range(30)) == 10


def test_nobody_is_stopped_at_the_last_rung():
    halving = halving_with(quorum=1)
    for trial, value in enumerate((0.5, 0.4, 0.3, 0.2)):
        halving.record(trial, 90, score(value))
    assert all(halving.judge(trial, 90).decision == "continue" for trial in range(4))


def test_equal_maps_are_told_apart_by_map50_and_then_by_loss():
    halving = halving_with(
        score(0.0001, 0.02, 3.0), score(0.0002, 0.05, 9.0), score(0.0, 0.05, 1.0), score(0.0, 0.0, 2.0)
    )
    judged = [halving.judge(trial, 10) for trial in range(4)]
    assert [judgement.rank for judgement in judged] == [3, 2, 1, 4]
    assert [judgement.decision == "continue" for judgement in judged] == [False, False, True, False]
    assert "broken by mAP50: 0.020 to 0.050" in judged[0].reason(score(0.0001, 0.02, 3.0), OBJECTIVE)
    assert "broken by validation loss: 9 to 1" in judged[1].reason(score(0.0002, 0.05, 9.0), OBJECTIVE)


def test_what_chance_gives_early_in_training_is_not_ranked_by_but_the_loss_is():
    by_chance = score(0.004, 0.019, loss=3.0)
    learned_more = score(0.001, 0.002, loss=1.5)
    assert learned_more.key > by_chance.key
    assert score(0.006, 0.019, loss=9.0).key > learned_more.key
    assert score(0.001, 0.03, loss=9.0).key > learned_more.key


def test_regularization_is_no_part_of_the_loss_that_ranks():
    parts = {"validation_loss/classification": 1.0, "validation_loss/localization": 0.5}
    measured = OBJECTIVE.score({"mAP": 0.1, "mAP50": 0.2, "validation_loss/total": 9.0} | parts)
    assert measured == score(0.1, 0.2, 1.5)
    assert OBJECTIVE.score({"mAP": 0.1, "validation_loss/total": 2.0}) == score(0.1, 0.0, 2.0)
    assert OBJECTIVE.score({"mAP": 0.1}) == score(0.1)


def test_a_scores_merit_has_the_order_of_its_key():
    means, losses = (0.0, 0.0004, 0.001, 0.2, 1.0), (0.0, 0.5, 3.0, 40.0, math.inf)
    scores = [score(*parts) for parts in itertools.product(means, means, losses)]
    for one, other in itertools.combinations(scores, 2):
        assert (one.key < other.key) == (one.merit < other.merit)
        assert (one.key == other.key) == (one.merit == other.merit)


def test_trials_that_are_equal_in_all_go_on_together():
    halving = halving_with(*[score(0.0)] * 6)
    assert all(halving.judge(trial, 10).decision == "continue" for trial in range(6))


@pytest.mark.parametrize("bad", [(math.nan, 0.0, math.inf), (math.inf, 0.0, math.inf), (0.1, 0.1, math.nan)])
def test_what_is_not_a_number_is_no_score(bad):
    with pytest.raises(ValueError, match="has failed"):
        halving_with(Score(bad, (0, 0, 0), 0.0))


def test_a_score_said_twice_counts_once():
    halving = halving_with(score(0.5), score(0.4), score(0.3))
    halving.record(2, 10, score(0.9))
    assert halving.judge(2, 10).rank == 3


def test_expected_arrivals_are_those_of_random_orders():
    shuffler = random.Random(5)
    arrived = [0, 0]
    rounds = 400
    for _ in range(rounds):
        halving = Halving((10, 30), 3, 3)
        order = [value / 100 for value in range(20)]
        shuffler.shuffle(order)
        for trial, value in enumerate(order):
            halving.record(trial, 10, score(value))
            arrived[0] += 1
            arrived[1] += halving.judge(trial, 10).decision == "continue"
    expected = expected_arrivals(Halving((10, 30), 3, 3), 20)
    assert expected[0] == 20
    assert expected[1] == pytest.approx(arrived[1] / rounds, abs=1.0)


def test_of_promoted_trials_one_in_factor_is_expected_at_the_next_rung():
    assert expected_arrivals(Halving((10, 30, 90), 3, 3, mode="promote"), 20) == (20, 6, 2)
    assert expected_arrivals(Halving((10, 30, 90), 3, 3, mode="promote"), 2) == (2, 1, 1)


def promoting(*scores: float) -> tuple[Halving, dict[int, int]]:
    """Trials with these mAPs at rung 10, none of them promoted yet."""
    halving, waiting = Halving((10, 30, 90), 3, 3, mode="promote"), {}
    for trial, value in enumerate(scores):
        halving.record(trial, 10, score(value))
        assert halving.judge(trial, 10).decision == "pause"
        waiting[trial] = 10
    return halving, waiting


def taken_up(halving: Halving, waiting: dict[int, int], more: bool) -> list[int]:
    """All that are promoted now, in their order."""
    found = []
    while (trial := halving.promotable(waiting, more)) is not None:
        halving.promote(trial, waiting.pop(trial))
        found.append(trial)
    return found


def test_promotion_waits_for_the_quorum_and_then_takes_the_best_of_the_highest_rung():
    halving, waiting = promoting(0.1, 0.3)
    assert taken_up(halving, waiting, more=True) == []
    halving.record(2, 10, score(0.2))
    waiting[2] = 10
    assert taken_up(halving, waiting, more=True) == [1]
    for trial, value in ((3, 0.4), (4, 0.05), (5, 0.06)):
        halving.record(trial, 10, score(value))
        waiting[trial] = 10
    assert taken_up(halving, waiting, more=True) == [3]
    for trial in (1, 3, 5):
        waiting.pop(trial, None)
        halving.record(trial, 30, score(trial / 10))
        waiting[trial] = 30
    assert halving.promotable(waiting, more=True) == 5
    assert halving.foremost(waiting) == 5


def test_a_handy_trial_comes_first_where_its_turn_comes_anyway():
    halving, waiting = promoting(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert halving.promotable(waiting, more=True, preferred={4}) == 4
    assert halving.promotable(waiting, more=True, preferred={0}) == 5
    assert taken_up(halving, waiting, more=True) == [5, 4]
    for trial, value in ((6, 0.7), (7, 0.8), (8, 0.9)):  # three merit it, and there is room for one
        halving.record(trial, 10, score(value))
        waiting[trial] = 10
    assert halving.promotable(waiting, more=True, preferred={6}) == 8
    assert halving.promotable(waiting, more=False, preferred={6}) == 6


def test_who_waits_below_as_many_as_can_be_promoted_is_hopeless():
    halving, waiting = promoting(0.1, 0.3, 0.2, 0.2)
    assert halving.hopeless(waiting, trials=9) == [0]  # three will be taken up
    assert halving.hopeless(waiting, trials=3) == [0, 2, 3]
    assert halving.hopeless(waiting, trials=12) == []


@pytest.mark.parametrize("trials", range(1, 40))
def test_the_hopeless_are_never_promoted(trials):
    draws = random.Random(trials)
    halving, waiting, hopeless = Halving((10, 30, 90), 3, 3, mode="promote"), {}, set()
    for begun in range(1, trials + 1):
        halving.record(begun, 10, score(draws.random()))
        waiting[begun] = 10
        hopeless.update(halving.hopeless(waiting, trials))
        while (trial := halving.promotable(waiting, more=begun < trials)) is not None:
            assert trial not in hopeless
            halving.promote(trial, waiting[trial])
            waiting[trial] = next(rung for rung in halving.rungs if rung > waiting[trial])
            if waiting[trial] == 90:
                del waiting[trial]
                continue
            halving.record(trial, waiting[trial], score(draws.random()))
            hopeless.update(halving.hopeless(waiting, trials))
    assert not waiting or halving.foremost(waiting) not in hopeless


def test_a_promotion_does_not_depend_on_the_order_of_arrival():
    for order in itertools.permutations(range(6)):
        halving, waiting = Halving((10, 30), 3, 3, mode="promote"), {}
        for trial in order:
            halving.record(trial, 10, score(trial / 10))
            waiting[trial] = 10
        assert taken_up(halving, waiting, more=True) == [5, 4]


def test_of_trials_that_come_in_the_order_of_their_merit_one_in_factor_is_promoted_and_the_best_at_last():
    halving, waiting = promoting()
    promoted = []
    for trial in range(20):
        halving.record(trial, 10, score(trial / 100))
        waiting[trial] = 10
        promoted += taken_up(halving, waiting, more=True)
    assert promoted == [2, 3, 8, 11, 14, 17]  # the second one early
    assert taken_up(halving, waiting, more=False) == [19, 18, 16, 15]


def test_brackets_are_drawn_by_seed_and_number_as_often_as_hyperbands():
    halving = Halving((10, 30, 90), brackets=3, seed=4)
    drawn = [halving.bracket(trial) for trial in range(3000)]
    assert drawn == [Halving((10, 30, 90), brackets=3, seed=4).bracket(trial) for trial in range(3000)]
    assert drawn != [Halving((10, 30, 90), brackets=3, seed=5).bracket(trial) for trial in range(3000)]
    shares = [drawn.count(bracket) / 3000 for bracket in range(3)]
    assert shares == pytest.approx([9 / 16.5, 4.5 / 16.5, 3 / 16.5], abs=0.03)
    assert halving.rungs_of(drawn.index(0)) == (10, 30, 90)
    assert halving.rungs_of(drawn.index(2)) == (90,)


def test_trials_of_different_brackets_are_not_compared():
    halving = Halving((10, 30, 90), quorum=2, brackets=2, seed=4)
    by_bracket = {bracket: [t for t in range(40) if halving.bracket(t) == bracket][:3] for bracket in (0, 1)}
    for bracket, trials in by_bracket.items():
        for trial in trials:
            halving.record(trial, 30, score(0.1 + bracket / 2 + trial / 1000))
    assert halving.judge(by_bracket[0][-1], 30).decision == "continue"
    assert halving.judge(by_bracket[0][0], 30).of == 3


def test_more_brackets_than_rungs_are_refused():
    with pytest.raises(UserError, match="--brackets must be 1 to 2"):
        Halving((30, 90), brackets=3)
