"""A search that a limit ends has finished its foremost trial: what is left of the budget is kept for that."""

from __future__ import annotations

import pytest
from curve_trainer import CurveTrainer
from searches import context, recipe_of
from test_search import rung

from tuning.search import simulation
from tuning.search.limits.budget import Budget, Spending
from tuning.search.limits.meter import Meter
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.halving import MOST_WAITING, Halving
from tuning.search.search import Search
from tuning.search.simulation import Clock, Curve
from tuning.study.spent import Price
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord

STEPS = 90
EVALUATED = (10, 30, 90)


class Formula:
    """The curve of any recipe. pace: seconds a step."""

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace

    def curve(self, record: TrialRecord) -> Curve:
        recipe = recipe_of(record.recipe)
        means = [CurveTrainer.mean_ap(recipe, step) for step in EVALUATED]
        metrics = {"mAP": means, "mAP50": means, "validation_loss/total": [2 - mean for mean in means]}
        return Curve(recipe, {}, EVALUATED, metrics, self.pace)


@pytest.fixture
def simulated(monkeypatch):
    """Runs a search with this budget on a simulated clock, on so many workers."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def run(
        study: Study,
        budget: Budget,
        workers: int = 1,
        gpus: float = 0.0,
        mode: str = "promote",
        **ending: float,
    ):
        halving = Halving(EVALUATED, mode=mode)
        spending = Spending(Meter(study, gpus), budget, STEPS)
        sampler = RandomSampler(context())
        search = Search(study, sampler, halving, budget.trials, spending=spending, **ending)
        began = now[0]
        history = simulation.simulate(
            search, Formula(), workers, Clock(2, 3), lambda seconds: now.__setitem__(0, began + seconds)
        )
        search.interrupt()
        return search, history

    return run


def states(study: Study) -> dict[str, int]:
    found = [record.state for record in study.records()]
    return {state: found.count(state) for state in found}


def ahead_of_the_completed(study: Study) -> list[TrialRecord]:
    """The unfinished trials that were better than every completed one at the same rung."""
    records = study.records()
    done = [record for record in records if record.state == "completed"]
    return [
        record
        for record in records
        if record.state == "interrupted"
        and record.rungs
        and all(
            record.value > next(rung.value for rung in other.rungs if rung.step == record.step)
            for other in done
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["promote", "stop"])
@pytest.mark.parametrize(("trainings", "workers"), [(1, 1), (1, 2), (1.5, 1), (1.5, 2), (3.3, 2)])
def test_a_limit_of_steps_is_kept_and_a_trial_is_completed(open_study, simulated, trainings, workers, mode):
    study = open_study()
    search, history = simulated(study, Budget(trainings=trainings), workers, mode=mode)
    assert states(study)["completed"] >= 1
    assert (
        history[-1].taken <= trainings * STEPS or mode == "stop"
    )  # which goes on past a rung without asking
    assert search.limit_reached == f"--like {trainings:g}"
    assert search.exhausted


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "workers"), [(140, 1), (140, 2), (251, 1), (300, 2), (407, 1)])
def test_a_limit_of_time_ends_no_search_shortly_before_the_end_of_its_first_full_trial(
    open_study, simulated, seconds, workers
):
    study = open_study()
    search, history = simulated(study, Budget(seconds=seconds), workers)
    assert states(study)["completed"] >= 1
    assert history[-1].seconds <= seconds
    assert search.limit_reached is not None


@pytest.mark.slow
@pytest.mark.parametrize("budget", [Budget(gpu_hours=0.1), Budget(cost=0.2, price=Price(2.0))])
@pytest.mark.parametrize("workers", [1, 3])
def test_gpu_hours_and_cost_are_kept_for_it_too(open_study, simulated, budget, workers):
    study = open_study()
    search, _ = simulated(study, budget, workers, gpus=1.0)
    assert states(study)["completed"] >= 1
    assert search._spending.meter.gpu_hours <= 0.1


@pytest.mark.parametrize("seconds", [420, 580])
def test_a_trial_that_is_better_than_the_completed_ones_is_finished_while_the_time_allows(
    open_study, simulated, seconds
):
    study = open_study()
    _, history = simulated(study, Budget(seconds=seconds))
    left = seconds - history[-1].seconds
    for record in ahead_of_the_completed(study):
        stages = 2 if record.step == 10 else 1
        assert left < (STEPS - record.step) + stages * 5, f"trial {record.number}"


@pytest.mark.parametrize(("seconds", "workers"), [(407, 1), (580, 1), (700, 1), (407, 2), (580, 2)])
def test_no_trial_is_begun_that_cannot_be_finished_while_one_waits_that_can(
    open_study, simulated, seconds, workers
):
    study = open_study()
    _, history = simulated(study, Budget(seconds=seconds), workers)
    whole, rest = (
        STEPS + 2 + 3 * 3,
        60 + 2 + 3,
    )  # seconds of a whole trial, and of one from step 30 to its end
    begun = {each.trial: each.seconds - 10 - 5 for each in history if each.step == 10}
    for record in study.records():
        if record.state == "interrupted" and record.step == 30:
            since = next(each.seconds for each in history if (each.trial, each.step) == (record.number, 30))
            late = [t for t in begun.values() if max(since, seconds - whole) < t < seconds - 1.2 * rest]
            assert not late, f"trial {record.number} waited"


def test_what_is_too_short_for_any_full_trial_is_spent_on_first_rungs(open_study, simulated):
    study = open_study()
    _, history = simulated(study, Budget(seconds=60))
    assert states(study) == {"interrupted": len(study.records())}
    assert len(history) >= 3


def test_the_same_command_begins_nothing_more_and_a_higher_limit_goes_on(open_study, simulated):
    simulated(open_study(), Budget(trainings=1.5))
    study = open_study()
    before = [(record.state, record.step) for record in study.records()]
    search, history = simulated(study, Budget(trainings=1.5))
    assert (history, search.limit_reached) == ([], "--like 1.5")
    assert [(record.state, record.step) for record in study.records()] == before
    study = open_study()
    simulated(study, Budget(trainings=4))
    assert states(study)["completed"] >= 2


def test_a_search_that_was_stopped_before_any_rung_completes_one_of_its_trials_when_it_goes_on(
    open_study, simulated
):
    study = open_study()
    search = Search(study, RandomSampler(context()), Halving(EVALUATED, mode="promote"), None)
    while len(study.records()) < 4:
        search.propose()
    search.interrupt()
    study = open_study()
    _, history = simulated(study, Budget(seconds=study.wall_seconds + 140))
    assert states(study)["completed"] == 1
    assert history[-1].seconds <= 140


@pytest.mark.slow
@pytest.mark.parametrize("trials", [None, 60])
def test_few_trials_wait_in_a_search_of_any_length(open_study, trials):
    halving = Halving(EVALUATED, mode="promote")
    search = Search(open_study(), RandomSampler(context()), halving, trials)
    waiting = []
    for _ in range(45):
        record = search.propose()
        step = next(rung for rung in EVALUATED if rung > record.step)
        mean = CurveTrainer.mean_ap(recipe_of(record.recipe), step)
        search.report(rung(record.number, step, mean, **{"validation_loss/total": 2 - mean}))
        waiting.append(len(search._roster.waiting))
    assert 5 < max(waiting) <= 2 * (MOST_WAITING + 3)
