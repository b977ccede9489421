from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from searches import CONDITIONS, OBJECTIVE, SPACE, context, score

import search_spaces
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import AT_RANDOM, ENOUGH, LATEST, MOST_GOOD, TPESampler
from tuning.search.scheduler import Judgement, make_rung
from tuning.study.step_result import StepResult
from tuning.study.storage.packing import PackedTrial
from tuning.study.trial_record import RUNG

ALL = search_spaces.get("all")
RECIPE = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe


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


def space_of_x(trial):
    """One parameter, x; any recipe."""
    trial.suggest_float("x", 0, 1)
    return RECIPE


def modelled(proposed: list[str]) -> list[str]:
    """What was proposed, by number, without what was at random."""
    return [each for number, each in enumerate(proposed) if (number + 1) % AT_RANDOM]


@pytest.mark.slow
def test_it_learns_where_good_recipes_are():
    sampler = TPESampler(context(seed=3), startup_trials=10)
    kinds = []
    for number in range(80):
        proposal = sampler.propose(number)
        kinds.append(proposal.recipe.optimizer.kind)
        good = 0.5 if kinds[-1] == "rms_prop" else 0.1
        sampler.learn(ended(number, proposal, good + number / 1e4))
    assert kinds[:20].count("rms_prop") < 14
    assert modelled(kinds)[-20:].count("rms_prop") >= 16


def test_one_proposal_in_three_is_what_it_would_be_without_trials():
    told = TPESampler(context(seed=3))
    for number in range(30):
        told.learn(ended(number, told.propose(number), number / 100))
    again = [told.propose(number) == TPESampler(context(seed=3)).propose(number) for number in range(30, 42)]
    assert again == [False, False, True] * 4


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
    assert modelled(kinds)[-20:].count("rms_prop") >= 16


@pytest.mark.slow
def test_it_learns_which_branch_is_good():
    sampler = TPESampler(context(ALL, seed=5), startup_trials=10)
    detectors = []
    for number in range(50):
        proposal = sampler.propose(number)
        detectors.append(proposal.recipe.model)
        sampler.learn(ended(number, proposal, 0.6 if detectors[-1] == "mobilenet" else 0.1))
    assert set(detectors[:20]) == {"retinanet", "mobilenet", "efficientdet"}
    assert modelled(detectors)[-15:].count("mobilenet") >= 10  # by chance 5


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


def test_a_failed_trial_is_a_bad_one_whatever_it_had_before():
    ended = [at_rungs(number, number / 100, 10) for number in range(12)]
    failed = at_rungs(12, 0.9, 10, state=TrialState.COMPLETE)
    before = shown([*ended, failed])
    failed.state, failed.values = TrialState.FAIL, None
    after = shown([*ended, failed])
    assert (before[0.9], after[0.9]) == (TrialState.COMPLETE, TrialState.PRUNED)


@pytest.mark.slow
def test_it_keeps_away_from_where_trials_fail():
    sampler = TPESampler(context(seed=3))
    kinds = []
    for number in range(40):
        proposal = sampler.propose(number)
        kinds.append(proposal.recipe.optimizer.kind)
        trial = ended(number, proposal, 0.3)
        if kinds[-1] == "rms_prop":
            trial.state, trial.values, trial.intermediate_values = TrialState.FAIL, None, {}
        sampler.learn(trial)
    assert modelled(kinds)[-20:].count("rms_prop") <= 3  # by chance 7


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


def shown(trials) -> dict[float, TrialState]:
    """What TPE is shown of these trials: their states, by their values of x."""
    sampler = TPESampler(SamplerContext(space_of_x, 1, OBJECTIVE))
    for trial in trials:
        sampler.learn(trial)
    return {trial.params["x"]: trial.state for trial in sampler._shown()}


def at_rungs(number: int, value: float, *steps: int, state=TrialState.PRUNED):
    """A trial with this value at each of these rungs."""
    trial = bare(number, value, state)
    trial.intermediate_values = dict.fromkeys(steps, value)
    return trial


def test_it_is_fitted_on_the_deepest_rung_that_enough_trials_have_reached():
    lower = [at_rungs(number, number / 100, 10) for number in range(50)]
    higher = [at_rungs(number, number / 100, 10, 30) for number in range(50, 50 + ENOUGH)]
    seen = shown([*lower, *higher])
    fitted = {x for x, state in seen.items() if state == TrialState.COMPLETE}
    assert fitted == {trial.params["x"] for trial in higher}
    too_few = shown([*lower, *higher[1:]])
    assert set(too_few.values()) == {TrialState.COMPLETE}  # all have reached the first rung


def test_of_more_trials_than_tpe_is_shown_the_good_ones_and_the_latest_are():
    good = [at_rungs(number, 0.9 + number / 1000, 10, 30) for number in range(3)]
    others = [at_rungs(number, 0.5 + number / 1000, 10, 30) for number in range(3, 20)]
    early = [at_rungs(number, number / 1000, 10) for number in range(20, 200)]
    seen = shown([*good, *others, *early])
    assert len(seen) == 30  # Optuna's TPE then takes a tenth as good: the best three of the twenty
    assert {trial.params["x"] for trial in [*good, *others, *early[-10:]]} == seen.keys()


def test_a_running_trial_repels_and_one_that_goes_on_counts_by_what_it_had():
    ended = [at_rungs(number, number / 100, 10) for number in range(12)]
    running = at_rungs(12, 0.5, state=TrialState.RUNNING)
    promoted = at_rungs(13, 0.6, 10, state=TrialState.RUNNING)
    seen = shown([*ended, running, promoted])
    assert (seen[0.5], seen[0.6]) == (TrialState.RUNNING, TrialState.COMPLETE)


def test_however_many_trials_there_are_tpe_is_shown_as_many():
    trials = [bare(number, (number * 7919 % 2000) / 2000) for number in range(600)]
    seen = shown(trials)
    assert len(seen) == LATEST
    best = sorted(trials, key=lambda trial: trial.value, reverse=True)[:MOST_GOOD]
    assert {trial.params["x"] for trial in best} <= seen.keys()


def test_memory_stays_bounded_over_thousands_of_trials():
    sampler = TPESampler(SamplerContext(space_of_x, 1, OBJECTIVE))
    for number in range(1000):
        sampler.learn(bare(number, (number * 7919 % 2000) / 2000))
        if number % 500 == 0:
            sampler.propose(3000 + number)
    assert len(sampler._trials) <= 2 * (MOST_GOOD + LATEST)


def test_what_is_forgotten_would_not_have_been_shown():
    rungs = ((10,), (10, 30), (10, 30, 90))
    trials = [at_rungs(n, (n * 7919 % 3001) / 3001, *rungs[(n % 3 == 0) + (n % 9 == 0)]) for n in range(1500)]
    one, other = (TPESampler(SamplerContext(space_of_x, 1, OBJECTIVE)) for _ in range(2))
    for forward, backward in zip(trials, reversed(trials), strict=True):
        one.learn(forward)
        other.learn(backward)
    assert len(one._trials) < len(trials)
    assert one.propose(1500) == other.propose(1500)


def test_with_several_objectives_nothing_that_is_on_the_front_is_forgotten():
    objective = replace(OBJECTIVE, also=("latency_ms",))
    sampler = TPESampler(SamplerContext(space_of_x, 1, objective))
    for number in range(2 * (MOST_GOOD + LATEST) + 10):
        trial = bare(number, 0.1 + number / 1e4)
        metrics = {"mAP": trial.value, "mAP50": trial.value, "latency_ms": 10.0 + number}
        result = StepResult(number, 90, "rung", metrics=metrics)
        judged = make_rung(result, objective.score(metrics), Judgement("continue", 1, 1, None), objective)
        trial.user_attrs = {f"{RUNG}90": judged.to_dict()}
        sampler.learn(trial)
    assert sampler.propose(1000).params


def test_the_parameters_of_a_packed_trial_are_decompressed_once_however_often_it_is_shown():
    reads: list[int] = []

    class Counted(PackedTrial):
        def __getattr__(self, name):
            if name == "_params":
                reads.append(self.number)
            return super().__getattr__(name)

    sampler = TPESampler(SamplerContext(space_of_x, 1, OBJECTIVE))
    for number in range(30):
        sampler.learn(Counted(bare(number, number / 100)))
    proposed = [sampler.propose(30).params["x"] for _ in range(3)]
    assert len(set(proposed)) == 1
    assert sorted(reads) == list(range(30))
    sampler.learn(bare(29, 0.9))  # it went on, with another value
    assert max(trial.params["x"] for trial in sampler._shown()) == 0.9
