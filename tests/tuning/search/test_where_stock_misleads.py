"""Where Ray's OptunaSearch and ASHAScheduler mislead a search, on the versions used here; and that this one is not.

The stock objects are driven in the order in which Ray Tune calls them. What needs a whole Ray, MLflow or a detector is
tested elsewhere: a study that goes on, its one process and its workers in test_search_on_ray.py, MLflow's runs in
test_tracking.py, conditional warm starts in test_going_on.py, bounded proposals in test_tpe.py.
"""

from __future__ import annotations

import builtins
import math
import pickle
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from searches import CONDITIONS, SPACE, context, run_here, score, search_of
from test_search import rung, stored

from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving

RUNGS = (10, 30, 90)


def suggested(trial) -> None:
    SPACE.suggest(trial, CONDITIONS)


class Stock:
    """OptunaSearch and ASHAScheduler with this project's rungs."""

    def __init__(self, **options) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.searcher = OptunaSearch(suggested, metric="mAP", mode="max", seed=1, **options)
        self.scheduler = ASHAScheduler(
            "step", metric="mAP", mode="max", max_t=90, grace_period=10, reduction_factor=3
        )

    def run(self, number: int, means: tuple[float, ...]) -> int:
        """One trial with an mAP at each rung; the last step that it took."""
        trial = SimpleNamespace(trial_id=str(number))
        self.scheduler.on_trial_add(None, trial)
        self.searcher.suggest(trial.trial_id)
        for iteration, (step, mean) in enumerate(zip(RUNGS, means, strict=True), start=1):
            result = {"training_iteration": iteration, "step": step, "mAP": mean}
            if self.scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
            self.searcher.on_trial_result(trial.trial_id, result)
        self.searcher.on_trial_complete(trial.trial_id, result)
        return step

    def told(self, number: int) -> optuna.trial.FrozenTrial:
        return self.searcher._ot_study.trials[number]


def here(study, means: list[tuple[float, ...]], **rule) -> list[int]:
    """The same in a search of this project, one trial after another; the last step of each."""
    search = search_of(study, len(means), **rule)
    while (record := search.propose()) is not None:
        for step, mean in zip(RUNGS, means[record.number], strict=True):
            if step > record.step and not search.report(rung(record.number, step, mean)):
                break
    return [record.verdict.step for record in study.records()]


def test_a_stopped_trial_is_pruned_with_its_last_rung_not_complete(open_study):
    means = [(0.3, 0.4, 0.5)] * 4 + [(0.1, 0.1, 0.1)]
    stock = Stock()
    assert [stock.run(number, mean) for number, mean in enumerate(means)][-1] == 10
    assert stock.told(4).state == TrialState.COMPLETE
    assert stock.told(4).intermediate_values == {}

    study = open_study()
    assert here(study, means)[-1] == 10
    assert stored(study)[4].state == TrialState.PRUNED
    assert stored(study)[4].intermediate_values == {10: 0.1}


def test_a_trial_without_a_number_is_failed_at_once_and_left_running_by_none(open_study):
    means = [(0.3, 0.4, 0.5)] * 3 + [(math.nan,) * 3]
    stock = Stock()
    assert [stock.run(number, mean) for number, mean in enumerate(means)][-1] == 90
    assert stock.told(3).state == TrialState.RUNNING

    study = open_study()
    assert here(study, means)[-1] == 10
    assert stored(study)[3].state == TrialState.FAIL


def test_twelve_ties_at_nothing_do_not_all_go_on(open_study):
    stock = Stock()
    assert {stock.run(number, (0.0, 0.0, 0.0)) for number in range(12)} == {90}

    study = open_study()
    search = search_of(study, 12)
    for number in range(12):  # the later, the worse its loss
        search.propose()
        search.report(rung(number, 10, 0.0, **{"validation_loss/total": 1.0 + number / 10}))
    states = [record.state for record in study.records()]
    assert states == ["running"] * 3 + ["pruned"] * 9 or states.count("pruned") >= 8


@pytest.mark.slow
def test_trials_that_come_in_the_order_of_their_merit_are_not_all_trained_to_the_end(open_study):
    improving = [(0.01 * n, 0.02 * n, 0.03 * n) for n in range(1, 21)]
    stock = Stock()
    assert {stock.run(number, mean) for number, mean in enumerate(improving)} == {90}

    ends = here(open_study(), improving, mode="promote")
    assert ends.count(90) <= 6
    assert ends[-1] == 90
    assert sum(ends) < 20 * 90 / 2


def test_brackets_are_drawn_from_the_searchs_own_seed():
    def stock_brackets() -> list[int]:
        scheduler = ASHAScheduler("step", metric="mAP", mode="max", max_t=90, brackets=3)
        for number in range(30):
            scheduler.on_trial_add(None, SimpleNamespace(trial_id=str(number)))
        return [scheduler._brackets.index(scheduler._trial_info[str(n)]) for n in range(30)]

    def brackets() -> list[int]:
        return [Halving(RUNGS, brackets=3, seed=4).bracket(number) for number in range(30)]

    np.random.seed(1)
    theirs, ours = stock_brackets(), brackets()
    np.random.seed(2)
    assert stock_brackets() != theirs
    assert brackets() == ours


def test_known_points_and_their_values_are_taken_in_with_conditional_branches():
    seed = SPACE.seeds(CONDITIONS)[0]
    with pytest.raises(TypeError, match="Define-by-run function passed in `space`"):
        Stock(points_to_evaluate=[seed.params], evaluated_rewards=[0.4])

    sampler = TPESampler(context(), startup_trials=1)
    replayed = SPACE.replay(seed.params, CONDITIONS)
    known = optuna.trial.create_trial(
        params=dict(seed.params), distributions=replayed.distributions, value=0.4
    )
    known.number = -1
    sampler.learn(known)
    assert sampler.propose(0).recipe != replayed.recipe
    assert sampler.propose(0, seed.params).recipe == replayed.recipe


def test_a_study_goes_on_without_reading_a_pickle(open_study, monkeypatch):
    run_here(search_of(open_study(), 4))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    opened = []
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *a, **k: opened.append(str(a[0])) or real(*a, **k))
    study = open_study()
    run_here(search_of(study, 6))
    assert len(study.records()) == 6
    assert not [path for path in opened if path.endswith((".pkl", ".pickle"))]
    assert not [path for path in study.folder.rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_a_schedule_means_the_same_at_any_budget():
    for seed in SPACE.seeds(CONDITIONS):
        short = SPACE.replay(seed.params, CONDITIONS).recipe
        long = short.replace(steps=9000)
        highest = short.schedule.base
        for step in range(0, 90, 7):  # a warm-up is rounded to whole steps
            assert long.learning_rate(100 * step) == pytest.approx(
                short.learning_rate(step), abs=highest / 20
            )


def test_a_quorum_and_not_the_first_to_arrive_decides():
    halving = Halving(RUNGS, 3, 3)
    halving.record(0, 10, score(0.0))
    halving.record(1, 10, score(0.3))
    assert [halving.judge(trial, 10).decision for trial in (0, 1)] == ["continue", "continue"]
    halving.record(2, 10, score(0.1))
    assert halving.judge(2, 10).decision == "stop"
