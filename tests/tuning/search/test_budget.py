from __future__ import annotations

import itertools

import pytest
from searches import run_here, search_of

from trainers.errors import UserError
from tuning.search.history import MOST_FAILURES
from tuning.search.limits.budget import Budget, Spending, duration, parse_time
from tuning.search.limits.meter import Meter
from tuning.search.search import Search
from tuning.study.spent import Price
from tuning.study.step_result import StepResult

GB = 10**9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 hours", "-2h", "2h later"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="^" + text):
        parse_time(text)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"seconds": 0}, "--time must be above 0"),
        ({"gpu_hours": -1}, "--gpu-hours must be above 0"),
        ({"trainings": float("nan")}, "--like must be above 0"),
        ({"cost": 200}, "--cost needs --price-per-gpu-hour"),
        ({"price": Price(3.5)}, "--price-per-gpu-hour needs --cost or --gpu-hours"),
    ],
)
def test_impossible_limits_are_refused(limits, message):
    with pytest.raises(UserError, match=message):
        Budget(**limits)


def test_a_budget_that_cannot_pay_for_one_rung_is_refused():
    with pytest.raises(UserError, match=r"--like 0.05 is less than one rung of 10 steps; give at least 0.11"):
        Budget(trainings=0.05).check_fits(0, 90, 10)
    Budget(trainings=0.2).check_fits(0, 90, 10)


@pytest.mark.parametrize("limits", [{"gpu_hours": 4}, {"cost": 9, "price": Price(3)}])
def test_gpu_hours_without_a_gpu_are_refused(limits):
    with pytest.raises(UserError, match="trials use no GPU"):
        Budget(**limits).check_fits(0, 90, 10)
    Budget(**limits).check_fits(0.5, 90, 10)


def limited(study, budget: Budget, gpus: float = 0.0, **rule: object):
    meter = Meter(study, gpus)
    spending = Spending(meter, budget, max_steps=90)
    search = search_of(study, budget.trials, **rule)
    search._spending = search._reserve._spending = spending
    return search, spending


def test_like_buys_so_many_trainings_of_steps_however_they_are_spread(open_study):
    study = open_study()
    search, spending = limited(study, Budget(trainings=3))
    run_here(search)
    assert search.limit_reached == "--like 3"
    assert 3 <= spending.trainings < 4
    search.interrupt()
    assert sum(record.step for record in study.records()) == pytest.approx(spending.trainings * 90)
    assert spending.line() == f"{spending.trainings:.1f} of 3 trainings"

    study = open_study()
    again, spending = limited(study, Budget(trainings=3))
    assert again.exhausted
    more, spending = limited(study, Budget(trainings=4))
    run_here(more)
    assert 4 <= spending.trainings < 5
    numbers = [record.number for record in study.records()]
    assert numbers == list(range(len(numbers)))


def test_trials_that_waited_for_their_promotion_are_counted_once(open_study):
    study = open_study()
    search, spending = limited(study, Budget(trainings=3), mode="promote")
    run_here(search)
    promoted = [record for record in study.records() if len(record.rungs) > 1]
    assert promoted
    assert spending.trainings == pytest.approx(sum(record.step for record in study.records()) / 90)
    search.interrupt()
    assert spending.trainings == pytest.approx(sum(record.step for record in study.records()) / 90)


def test_gpu_hours_count_every_worker_and_their_price(open_study):
    study = open_study()
    budget = Budget(cost=2.0, price=Price(3.5), gpu_hours=40)
    search, spending = limited(study, budget, gpus=0.5)
    number = search.propose().number
    assert search.report(StepResult(number, 5, "progress", seconds_training=3600, seconds_overhead=0))
    assert spending.meter.gpu_hours == pytest.approx(0.5, rel=1e-3)
    assert spending.line() == "0.50 of 40 GPU hours, cost 1.75 of 2"
    assert not search.report(StepResult(number, 6, "progress", seconds_training=3600, seconds_overhead=900))
    assert search.limit_reached == "--cost 2"


def test_what_workers_move_to_the_store_and_from_it_costs_too(open_study):
    study = open_study()
    budget = Budget(cost=2.0, price=Price(1.0, sent_gb=0.02, received_gb=0.09))
    search, spending = limited(study, budget, gpus=1.0)
    number = search.propose().number
    assert search.report(StepResult(number, 5, "progress", seconds_training=3600, received=10 * GB))
    assert spending.line() == "cost 1.90 of 2"
    assert not search.report(StepResult(number, 6, "progress", seconds_training=3600, sent=5 * GB))
    assert search.limit_reached == "--cost 2"
    search.interrupt()
    spent = study.record(number).spent
    assert (spent.sent, spent.received) == (5 * GB, 10 * GB)


def test_the_time_that_is_left_is_that_of_the_nearest_limit(open_study, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    budget = Budget(seconds=7200, gpu_hours=2, trials=9)
    search, spending = limited(open_study(), budget, gpus=1.0)
    number = search.propose().number
    assert spending.seconds_left() is None
    clock[0] += 1800
    search.report(StepResult(number, 5, "progress", seconds_training=1800, seconds_overhead=0))
    assert spending.seconds_left() == pytest.approx(5400)
    search.report(
        StepResult(search.propose().number, 5, "progress", seconds_training=1800, seconds_overhead=0)
    )
    assert spending.meter.gpu_hours == pytest.approx(1)
    assert spending.seconds_left() == pytest.approx(1800), "two workers spend GPU hours twice as fast"
    assert Spending(spending.meter, Budget(trials=9), 90).seconds_left() is None


def failing(search: Search, reason: str) -> None:
    number = search.propose().number
    search.report(StepResult(number, 0, "failed", reason=reason))


def test_a_search_whose_trials_all_fail_alike_ends_with_their_reason(open_study):
    study = open_study()
    search, _ = limited(study, Budget(trainings=9))
    for trial in range(MOST_FAILURES):
        assert not search.over
        failing(search, f"trial {trial}: weights.zip is damaged")
    assert search.over
    assert search.fatal_result.reason == (
        f"{MOST_FAILURES} trials in a row failed alike: trial {MOST_FAILURES - 1}: weights.zip is damaged; "
        "fix that and run the same command to continue"
    )


def test_failures_of_several_kinds_or_with_a_rung_in_between_end_no_search(open_study):
    search, _ = limited(open_study(), Budget(trainings=99))
    for trial in range(2 * MOST_FAILURES):
        failing(search, ("out of memory", "total loss is nan at step 3")[trial == 3 or trial == 11])
        if trial % 7 == 6:
            run_here(search, steps=1)
            search.interrupt()
    assert not search.over


@pytest.mark.slow
def test_time_is_of_all_runs_of_the_study_and_no_clock_on_the_wall_can_end_it(open_study, monkeypatch):
    now = itertools.count(1000.0, 40.0)
    monkeypatch.setattr("tuning.study.study.time.monotonic", lambda: next(now))
    monkeypatch.setattr("tuning.study.study.time.time", lambda: 1e12, raising=False)
    study = open_study()
    search, _ = limited(study, Budget(seconds=7200))
    run_here(search)
    assert search.limit_reached == "--time 2 h 00 min"
    spent = study.wall_seconds
    assert open_study().wall_seconds >= spent >= 7200
    again, _ = limited(open_study(), Budget(seconds=7200))
    assert again.exhausted


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (720, "12 min"), (12000, "3 h 20 min")])
def test_durations_are_said_in_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text
