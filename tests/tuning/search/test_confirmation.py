"""A search that ends with its best trials again, with other seeds (`--confirm`)."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from searches import OBJECTIVE, about, context, run_here, score
from test_reserve import STEPS, simulated  # noqa: F401 - a fixture

from trainers.errors import UserError
from tuning.search.callback import Callback
from tuning.search.limits.budget import Budget
from tuning.search.limits.ending import check_repeats
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study import trial_record
from tuning.study.confirmed import confirmed
from tuning.study.spent import Spent
from tuning.study.study import Study
from tuning.study.trial_record import REPEATS, Rung, TrialRecord
from tuning.study.verdict import completed


class StopInRepeat(Callback):
    """Stops a search when a repeat has reached its first rung."""

    search: Search

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        if record.repeats is not None:
            self.search.stop("Ctrl-C")


def search_of(study: Study, trials: int, confirm: int, *callbacks: Callback) -> Search:
    halving = Halving((10, 30, STEPS), mode="promote")
    return Search(study, RandomSampler(context()), halving, trials, callbacks=callbacks, confirm=confirm)


def repeats_of(study: Study) -> list[int]:
    return [record.repeats for record in study.records() if record.repeats is not None]


def record(number: int, value: float, repeats: int | None = None) -> TrialRecord:
    rung = Rung(STEPS, value, 0, 0, 0, {"mAP": value}, "continue", "", 1, 1, None, score(value))
    provenance = {} if repeats is None else {REPEATS: str(repeats)}
    return TrialRecord(number, "completed", completed(STEPS), "", {}, (rung,), provenance, Spent())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Of 18 trials and a confirmation of four, which was interrupted in the middle of its first repeat."""
    folder = tmp_path_factory.mktemp("confirmed") / "street"
    first = Study.open(folder, about(), durable=False)
    stop = StopInRepeat()
    stop.search = search_of(first, 18, 4, stop)
    run_here(stop.search)
    stop.search.interrupt()
    assert first.records()[-1].state == "interrupted"
    first.close()
    again = Study.open(folder, about(), durable=False)
    run_here(search_of(again, 18, 4))
    yield again
    again.close()


def test_the_two_best_trials_are_trained_again_to_the_end_with_other_seeds(study):
    best = trial_record.by_score(r for r in study.records() if r.state == "completed" and r.repeats is None)
    assert sorted(repeats_of(study)) == sorted(2 * [record.number for record in best[:2]])
    for record in study.records():
        if record.repeats is not None:
            original = study.record(record.repeats)
            assert record.state == "completed"
            assert record.recipe["seed"] not in (original.recipe["seed"], 0)
            assert {**record.recipe, "seed": 0} == {**original.recipe, "seed": 0}
    assert len({(r.repeats, r.recipe["seed"]) for r in study.records() if r.repeats is not None}) == 4


def test_repeats_are_no_further_trials_and_stop_nobody(study):
    searched = [record for record in study.records() if record.repeats is None]
    assert len(searched) == 18
    assert all(rung.of <= 18 for record in searched for rung in record.rungs)


def test_the_ranking_has_each_finalist_once(study):
    ranked = [record.number for record in trial_record.ranking(study.records())]
    assert sorted(ranked) == [record.number for record in study.records() if record.repeats is None]


def test_a_trial_that_is_the_only_one_completed_has_its_share_of_the_trainings(tmp_path):
    study = Study.open(tmp_path / "street", about(), durable=False)
    run_here(search_of(study, 5, 4))
    study.close()
    assert len(repeats_of(study)) == 2


@pytest.mark.slow(1)
def test_a_limit_of_steps_keeps_enough_for_the_confirmation(tmp_path, simulated):  # noqa: F811
    study = Study.open(tmp_path / "street", about(), durable=False)
    search, _ = simulated(study, Budget(trainings=8), confirm=3)
    study.close()
    assert len(repeats_of(study)) == 3
    assert {record.state for record in study.records()} <= {"completed", "pruned"}
    assert sum(record.spent.steps for record in study.records()) <= 8 * STEPS
    assert search.exhausted


@pytest.mark.parametrize("budget", [Budget(trials=5), Budget(trainings=5.5)])
def test_a_confirmation_larger_than_the_budget_is_refused(budget):
    check_repeats(3, 0, budget)
    with pytest.raises(UserError, match="--confirm 4 is larger than the budget"):
        check_repeats(4, 0, budget)


def test_the_winner_has_the_best_mean_and_goes_before_those_that_it_was_chosen_from():
    records = [record(0, 0.50), record(1, 0.52), record(2, 0.48), record(3, 0.54)]
    records += [record(4, 0.50, 1), record(5, 0.40, 3), record(6, 0.51, 1), record(7, 0.42, 3)]
    assert [r.number for r in trial_record.ranking(records)] == [1, 3, 0, 2]
    found = confirmed(records, OBJECTIVE)
    assert [each.trial for each in found.finalists] == [1, 3]
    assert found.finalists[1].mean == pytest.approx(0.4533, abs=1e-4)


@pytest.mark.slow(1)
@pytest.mark.parametrize("repeats", [1, 3])
def test_of_two_that_differ_by_half_a_deviation_the_right_one_wins_as_often_as_theory_allows(repeats):
    rng, right, runs = np.random.default_rng(0), 0, 1500
    for _ in range(runs):
        values = rng.normal([[0.50], [0.55]], 0.1, (2, 1 + repeats))
        records = [record(trial, values[trial, 0]) for trial in range(2)]
        records += [
            record(2 + 2 * again + trial, values[trial, 1 + again], trial)
            for again in range(repeats)
            for trial in range(2)
        ]
        right += trial_record.ranking(records)[0].number == 1
    most = NormalDist().cdf(0.5 * math.sqrt((1 + repeats) / 2))  # of the mean of so many differences
    assert right / runs == pytest.approx(most, abs=3.5 * math.sqrt(most * (1 - most) / runs))


@pytest.mark.slow(1)
def test_equal_finalists_are_seldom_told_apart_and_the_spread_of_a_seed_is_found():
    rng, wrong, spreads, runs = np.random.default_rng(1), 0, [], 60
    for _ in range(runs):
        values = rng.normal(0.5, 0.1, (3, 4))
        records = [record(trial, values[trial, 0]) for trial in range(3)]
        records += [record(3 + i, values[i % 3, 1 + i // 3], i % 3) for i in range(9)]
        found = confirmed(records, OBJECTIVE)
        wrong += any(each.behind[0] > 0 or each.behind[1] < 0 for each in found.finalists[1:])
        spreads.append(found.spread)
    assert wrong <= 8  # of 60; 3 are expected
    assert np.mean(spreads) == pytest.approx(0.1, abs=0.015)


def test_a_recipe_that_is_clearly_better_is_said_to_be():
    records = [record(0, 0.5), record(1, 0.6), record(2, 0.50, 0), record(3, 0.60, 1)]
    records += [record(4, 0.51, 0), record(5, 0.61, 1)]
    lines = confirmed(records, OBJECTIVE).lines("mAP")
    assert lines[0].startswith("trial 1: mAP 0.603 on average; 0.600, again 0.600, 0.610")
    assert lines[-1] == "trial 1 is better beyond what a seed moves"
