"""PB2: a population's numbers are chosen by what such numbers have gained so far."""

from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.trial import create_trial
from searches import OBJECTIVE

import search_spaces
from search_spaces.conditions import Conditions
from trainers.recipe import Recipe
from tuning.search.population.bandit import FEWEST, explorer_of
from tuning.search.population.exploring import Explorer
from tuning.search.population.gains import Gain, gains
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.random_sampler import RandomSampler

SPACE, CONDITIONS = search_spaces.get("mobilenet"), Conditions(steps=270, preset="laptop")
BEST = 0.8  # of the rate's range, on a logarithmic scale


def trial_of(seed: int):
    context = SamplerContext(lambda trial: SPACE.suggest(trial, CONDITIONS), seed, OBJECTIVE)
    found = RandomSampler(context).propose(0)
    return create_trial(
        params=dict(found.params), distributions=dict(found.distributions), value=0.0
    ), found.recipe


TRIAL, RECIPE = trial_of(0)
RATE = next(name for name in TRIAL.params if name.endswith("learning_rate"))
SPAN = TRIAL.distributions[RATE]


def place(params) -> float:
    """Of the rate in its range, 0 to 1."""
    return math.log(params[RATE] / SPAN.low) / math.log(SPAN.high / SPAN.low)


def known(count: int, began: int = 0) -> list[Gain]:
    """Gains at so many rates, which are best at BEST and depend on nothing else."""
    found = []
    for at in np.linspace(0, 1, count):
        params = TRIAL.params | {RATE: SPAN.low * (SPAN.high / SPAN.low) ** at}
        found.append(Gain(params, began, -((at - BEST) ** 2)))
    return found


def explored(gained: list[Gain], number: int = 9, now: int = 30, kind: str = "pb2"):
    explorer = explorer_of(kind, lambda trial: SPACE.suggest(trial, CONDITIONS), 0)
    return explorer.explore(number, TRIAL, RECIPE.to_dict(), gained, now)


def test_the_rate_is_chosen_that_has_gained_most():
    found = [place(explored(known(9), number).params) for number in range(9, 17)]
    assert np.median(np.abs(np.array(found) - BEST)) < 0.15
    at_random = [place(explored(known(9), number, kind="pbt").params) for number in range(9, 17)]
    assert np.median(np.abs(np.array(at_random) - BEST)) > 0.15


def test_with_few_gains_it_changes_numbers_at_random():
    gained = known(FEWEST - 1)
    assert explored(gained) == explored(gained, kind="pbt")
    assert explored(known(FEWEST)) != explored(known(FEWEST), kind="pbt")


def test_the_same_gains_give_the_same_choice():
    assert explored(known(9)) == explored(known(9))
    assert explored(known(9), number=9).recipe != explored(known(9), number=10).recipe


def test_what_others_try_at_the_same_time_is_left_to_them():
    alone = explored(known(9))
    others = [Gain(alone.params, 30, None)] * 8
    again = explored([*known(9), *others])
    names = [name for name, value in alone.params.items() if isinstance(value, float)]
    moved = [abs(alone.params[name] - again.params[name]) for name in names]
    assert max(moved) > 0


def test_trials_that_lack_a_number_teach_nothing_about_it():
    lacking = [Gain({}, 0, 1.0)] * 20
    assert explored(lacking) == explored(lacking, kind="pbt")


def test_only_pb2_has_it():
    def suggest(trial) -> Recipe:
        raise AssertionError

    assert type(explorer_of("pbt", suggest, 0)) is type(explorer_of("promote", suggest, 0)) is Explorer
    assert type(explorer_of("pb2", suggest, 0)) is not Explorer


@pytest.mark.slow
def test_a_gain_is_from_rung_to_rung_of_what_is_known_at_the_step(open_study):
    from test_population import search_of, train

    study = open_study(scheduler="pb2")
    train(search_of(study, 4))
    records = study.records()
    params = {record.number: study.trial(record.number).params for record in records}
    merits = {record.number: {rung.step: rung.score.merit for rung in record.rungs} for record in records}
    level = np.mean([record.rungs[0].score.merit for record in records if record.fork is None])
    [fork] = [record for record in records if record.fork and record.fork.step == 30]
    at_30, at_60 = (gains(records, params, step) for step in (30, 60))
    assert [each.merit for each in at_30] == [
        *(pytest.approx(merits[number][30] - level) for number in range(4)), None
    ]  # fmt: skip
    assert at_30[-1].params == params[fork.number]
    [of_fork] = [each for each in at_60 if each.params == params[fork.number]]
    assert of_fork.merit == pytest.approx(merits[fork.number][60] - merits[fork.fork.of][30])
    assert of_fork.began == 30
