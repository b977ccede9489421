from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from searches import CONDITIONS, OBJECTIVE, SPACE, context, score

import search_spaces
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import BEST, LATEST, TPESampler, most_informative
from tuning.search.scheduler import Judgement, make_rung
from tuning.study.step_result import StepResult
from tuning.study.trial_record import RUNG

ALL = search_spaces.get("all")


def ended(number: int, proposal, value: float, state=TrialState.COMPLETE, step: int = 90):
    trial = create_trial(
        state=state,
        value=value,
        params=dict(proposal.params),
        distributions=dict(proposal.distributions),
        intermediate_values={step: value},
    )
    trial.number = number
    return trial


def bare(number: int, value: float, state=TrialState.COMPLETE):
    trial = create_trial(
        state=state,
        value=value,
        params={"x": value},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values={90: value},
    )
    trial.number = number
    return trial


@pytest.mark.slow
def test_it_learns_where_good_recipes_are():
    sampler = TPESampler(context(seed=3), startup_trials=10)
    kinds = []
    for number in range(60):
        proposal = sampler.propose(number)
        kinds.append(proposal.recipe.optimizer.kind)
        good = 0.5 if kinds[-1] == "rms_prop" else 0.1
        sampler.learn(ended(number, proposal, good + number / 1e4))
    assert kinds[:20].count("rms_prop") < 14
    assert kinds[-20:].count("rms_prop") >= 16


@pytest.mark.slow
def test_where_all_maps_are_0_it_learns_from_what_the_scheduler_breaks_ties_by():
    sampler = TPESampler(context(seed=3), startup_trials=10)
    kinds = []
    for number in range(60):
        proposal = sampler.propose(number)
        kinds.append(proposal.recipe.optimizer.kind)
        loss = 1.0 if kinds[-1] == "rms_prop" else 2.0
        trial = ended(number, proposal, number % 7 / 1e5, TrialState.PRUNED, 10)
        own = score(trial.value, 0.0, loss)
        result = StepResult(number, 10, "rung", metrics={"mAP": own.value, "validation_loss/total": loss})
        told = make_rung(result, own, Judgement("stop", 1, 1, None), OBJECTIVE)
        trial.user_attrs = {f"{RUNG}10": told.to_dict()}
        sampler.learn(trial)
    assert kinds[-20:].count("rms_prop") >= 16


@pytest.mark.slow
def test_it_learns_which_branch_is_good():
    sampler = TPESampler(context(ALL, seed=5), startup_trials=10)
    detectors = []
    for number in range(50):
        proposal = sampler.propose(number)
        detectors.append(proposal.recipe.model)
        sampler.learn(ended(number, proposal, 0.6 if detectors[-1] == "mobilenet" else 0.1))
    assert set(detectors[:20]) == {"retinanet", "mobilenet", "efficientdet"}
    assert detectors[-15:].count("mobilenet") >= 10  # by chance 5


def test_the_values_of_a_seed_are_proposed_as_they_are():
    sampler = TPESampler(context(seed=3))
    for number, seed in enumerate(SPACE.seeds(CONDITIONS)):
        proposal = sampler.propose(number, seed.params)
        assert proposal.params == seed.params
        assert proposal.recipe == SPACE.replay(seed.params, CONDITIONS).recipe


def test_a_proposal_is_the_same_whether_the_trials_were_seen_one_by_one_or_read_from_the_study():
    def fresh():
        return TPESampler(context(seed=3), startup_trials=4)

    one_by_one, trials = fresh(), []
    for number in range(12):
        proposal = one_by_one.propose(number)
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        trials.append(
            ended(number, proposal, (number * 7 % 12) / 20, states[number % 2], 90 if number % 2 else 30)
        )
        one_by_one.learn(trials[-1])
    read = fresh()
    for trial in trials:
        read.learn(trial)
    assert read.propose(12) == one_by_one.propose(12)


def test_a_failed_trial_repels_nothing():
    sampler = TPESampler(context(seed=3), startup_trials=1)
    other = TPESampler(context(seed=3), startup_trials=1)
    for number in range(4):
        proposal = sampler.propose(number)
        trial = ended(number, proposal, 0.2)
        sampler.learn(trial)
        other.learn(trial)
    failed = sampler.propose(4)
    trial = ended(4, failed, 0.0)
    trial.state, trial.values = TrialState.FAIL, None
    sampler.learn(trial)
    assert sampler.propose(5) == other.propose(5)


def test_a_space_that_raises_leaves_nothing_behind():
    calls = []

    def suggest(trial):
        calls.append(trial.suggest_float("x", 0, 1))
        if len(calls) == 2:
            raise ZeroDivisionError
        return SPACE.suggest(trial, CONDITIONS)

    sampler = TPESampler(SamplerContext(suggest, 3, OBJECTIVE))
    sampler.propose(0)
    with pytest.raises(ZeroDivisionError):
        sampler.propose(1)
    again = sampler.propose(1)
    assert again.params["x"] == calls[1]


def test_tpe_sees_the_best_the_latest_and_the_running_however_many_there_are():
    trials = [bare(number, (number * 7919 % 2000) / 2000) for number in range(2000)]
    running = create_trial(state=TrialState.RUNNING, params={}, distributions={})
    running.number = 2000
    seen = most_informative([*trials, running], OBJECTIVE)
    assert len(seen) <= BEST + LATEST + 1
    assert [trial.number for trial in seen] == sorted(trial.number for trial in seen)
    numbers = {trial.number for trial in seen}
    best = sorted(trials, key=lambda trial: trial.value, reverse=True)[:BEST]
    assert {trial.number for trial in best} <= numbers
    assert set(range(2000 - LATEST, 2001)) <= numbers


def test_memory_stays_bounded_over_thousands_of_trials():
    from trainers.recipe import Recipe

    recipe = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe

    def suggest(trial) -> Recipe:
        trial.suggest_float("x", 0, 1)
        return recipe

    sampler = TPESampler(SamplerContext(suggest, 1, OBJECTIVE))
    for number in range(1500):
        sampler.learn(bare(number, (number * 7919 % 2000) / 2000))
        if number % 50 == 0:
            sampler.propose(3000 + number)
    assert len(sampler._trials) <= 1.5 * (BEST + LATEST) + 50
