"""Trials are compared at a rung in the scheduler's own order, and nothing is said where nothing can be told."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from trainers import task as tasks
from tuning.reporting.parts.detectors import compare
from tuning.reporting.statistics.rung_trials import importances, trials_at_rung
from tuning.study import trial_record
from tuning.study.spent import Spent
from tuning.study.trial_record import Rung, TrialRecord

OBJECTIVE = tasks.get("detection").objective(None, ("car",))
RATE = FloatDistribution(1e-4, 1.0, log=True)


def rung(step: int, mean: float, loss: float, model: str = "mobilenet") -> Rung:
    """One of a trial of the model."""
    metrics = {"mAP": mean, "mAP50": mean, "validation_loss/total": loss}
    score = OBJECTIVE.score(metrics, model)
    return Rung(step, mean, 1.0, 1.0, 0.0, metrics, "continue", "", 1, 1, None, score)


def record(number: int, *rungs: Rung, state: str = "pruned", model: str = "mobilenet") -> TrialRecord:
    """A trial with these rungs."""
    return TrialRecord(number, state, None, str(number), {"model": model}, rungs, {}, Spent())


def optuna_trials(records, rate_of):
    """As Optuna stores them, with one parameter `rate`, and another that decides nothing."""
    draws = random.Random(1)
    return [
        replace_number(
            create_trial(
                params={"rate": rate_of(each), "idle": draws.uniform(1e-4, 1.0)},
                distributions={"rate": RATE, "idle": RATE},
                value=0.0,
            ),
            each.number,
        )
        for each in records
    ]


def replace_number(trial, number: int):
    """The trial with its number in the study."""
    trial.number = number
    return trial


def at_chance(count: int = 24) -> list[TrialRecord]:
    """Trials whose mAP is noise below chance, and whose loss tells what is good."""
    draws = random.Random(0)
    return [record(n, rung(45, draws.uniform(0, 0.004), loss=1.0 + n / 10)) for n in range(count)]


def test_where_every_map_is_below_chance_the_order_is_the_schedulers_and_the_loss_decides():
    known = at_chance()
    found = trials_at_rung(known, optuna_trials(known, lambda each: 10 ** (-each.number / 8)), OBJECTIVE)
    assert [each.number for each in found.records] == list(range(24))
    assert list(found.standings) == sorted(found.standings, reverse=True)
    assert not found.informative
    assert importances(found)["rate"] > importances(found)["idle"]


def test_where_nothing_tells_trials_apart_no_parameter_is_important():
    known = [record(n, rung(45, 0.001 * (n % 3), loss=2.0)) for n in range(24)]
    assert importances(trials_at_rung(known, optuna_trials(known, lambda each: 0.1), OBJECTIVE)) == {}


def test_above_chance_the_objective_decides():
    known = [record(n, rung(45, n / 100, loss=1.0 + n)) for n in range(1, 20)]
    found = trials_at_rung(known, optuna_trials(known, lambda each: 0.1), OBJECTIVE)
    assert [each.number for each in found.records] == list(range(19, 0, -1))
    assert found.informative


def test_below_chance_trials_of_two_models_are_ordered_by_their_places_within_each():
    small = [record(n, rung(45, 0.0, 1.0 + n)) for n in range(3)]  # losses of another size in each model
    large = [record(n, rung(45, 0.0, 100.0 + n, "retinanet"), model="retinanet") for n in range(3, 6)]
    order = [each.number for each in trial_record.by_score([*large, *small])]
    assert {*order[:2]} == {0, 3}
    assert {*order[4:]} == {2, 5}
    ahead = record(9, rung(45, 0.02, 500.0, "retinanet"), model="retinanet")
    assert trial_record.by_score([*small, ahead])[0] is ahead


def models(first: float, last: float) -> dict[str, list[TrialRecord]]:
    """Two trials of each of two models, with these mAPs of the best."""
    return {
        model: [
            record(n, rung(45, first, 2.0, model), rung(134, last, 1.0, model), model=model),
            record(n + 1, rung(45, 0.0, 2.0, model), model=model),
        ]
        for n, model in ((0, "mobilenet"), (2, "retinanet"))
    }


@pytest.mark.parametrize(
    ("first", "last", "compared_at"), [(0.004, 0.1, 134), (0.004, 0.003, None), (0.05, 0.1, 45)]
)
def test_models_are_compared_at_the_first_rung_at_which_one_is_above_chance(first, last, compared_at):
    found = compare(models(first, last), OBJECTIVE)
    assert {each.first for each in found} == ({compared_at} if compared_at else set())


@pytest.mark.parametrize("seed", range(3))
def test_a_shorter_trial_that_is_better_is_the_better_one(seed):
    shorter = record(0, rung(360, 0.402, 1.0), state="completed")
    longer = record(1, rung(360, 0.3, 1.0), rung(720, 0.351, 0.9), state="completed")
    under_way = record(2, rung(360, 0.31, 1.0), rung(400, 0.38, 0.9), state="interrupted")
    early, late = record(3, rung(120, 0.45, 1.0)), record(4, rung(240, 0.41, 1.0))
    failed = replace(record(5, rung(360, 0.5, 1.0)), state="failed")
    known = [shorter, longer, under_way, early, late, failed]
    random.Random(seed).shuffle(known)
    assert [each.number for each in trial_record.ranking(known)] == [0, 1, 2, 5, 4, 3]
    assert trial_record.best(known) is shorter
    far = replace(under_way, rungs=(rung(800, 0.45, 0.5),))
    assert trial_record.best([shorter, longer, far]) is far
