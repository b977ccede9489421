"""The contract of a sampler, held by every registered one."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from curve_trainer import DATASET
from optuna.trial import FrozenTrial, TrialState, create_trial
from searches import CONDITIONS, OBJECTIVE, SPACE, context, run_here, score

import search_spaces
from trainers import task as tasks
from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.search import sampler as samplers
from tuning.search.sampler import Sampler, SamplerContext, paused_as_pruned
from tuning.search.scheduler import Judgement, make_rung
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study.proposal import Proposal
from tuning.study.step_result import StepResult
from tuning.study.trial_record import RUNG

LOSS = tasks.get("detection").objective("validation_loss/total", DATASET.classes)
# how the trials of a study end, one after another; a sampler that needs ended trials to model has enough
STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.PRUNED)
COUNT = 16


@pytest.fixture(params=samplers.names())
def name(request) -> str:
    return request.param


def sampler(name: str, seed: int = 3, **changes: Any) -> Sampler:
    return samplers.make(name, dataclasses.replace(context(seed=seed), **changes))


def running(number: int, params: Mapping[str, Any]) -> FrozenTrial:
    distributions = SPACE.replay(params, CONDITIONS).distributions
    trial = create_trial(state=TrialState.RUNNING, params=dict(params), distributions=distributions)
    trial.number = number
    return trial


def at_rung(trial: FrozenTrial, step: int, mean: float) -> FrozenTrial:
    """The trial once it has been measured there."""
    after = copy.deepcopy(trial)
    own = score(mean, mean, 1.0)
    result = StepResult(trial.number, step, "rung", metrics={"mAP": mean, "validation_loss/total": 1.0})
    rung = make_rung(result, own, Judgement("continue", 1, 1, None), OBJECTIVE).to_dict()
    after.user_attrs = {**trial.user_attrs, f"{RUNG}{step}": rung}
    after.intermediate_values = {**trial.intermediate_values, step: mean}
    return after


def ended(trial: FrozenTrial, state: TrialState) -> FrozenTrial:
    after = copy.deepcopy(trial)
    values = list(trial.intermediate_values.values())
    after.state, after.values = state, None if state == TrialState.FAIL else values[-1:]
    return after


def lives() -> list[list[FrozenTrial]]:
    """Each trial of a study as it is over time: it runs, is measured, perhaps waits, and ends; the last one runs."""
    draws = optuna.samplers.RandomSampler(seed=9)
    study = optuna.create_study(sampler=draws)
    told = []
    for number in range(COUNT):
        trial = study.ask()
        SPACE.suggest(trial, CONDITIONS)
        mean = (number * 7 % COUNT) / 20
        begun = running(number, trial.params)
        first = at_rung(begun, 10, mean)
        state = STATES[number % 4]
        if number == COUNT - 1:
            told.append([begun])
        elif state == TrialState.COMPLETE:
            last = at_rung(at_rung(first, 30, mean + 0.1), 90, mean + 0.2)
            told.append([begun, paused_as_pruned(first), first, ended(last, state)])
        elif state == TrialState.PRUNED:
            told.append([begun, paused_as_pruned(first), ended(first, state)])
        else:
            told.append([begun, ended(first, state)])
    return told


def learned(name: str, trials: list[FrozenTrial], **changes: Any) -> Sampler:
    made = sampler(name, **changes)
    for trial in trials:
        made.learn(trial)
    return made


def test_a_proposal_is_of_its_space_with_all_that_was_suggested_for_it(name):
    made = learned(name, [life[-1] for life in lives()])
    for number in range(COUNT, COUNT + 4):
        proposal = made.propose(number)
        assert SPACE.replay(proposal.params, CONDITIONS) == (proposal.recipe, proposal.distributions)


def test_it_is_the_same_for_the_same_seed_number_and_trials_however_often_it_was_asked(name):
    trials = [life[-1] for life in lives()]
    one, other = learned(name, trials), learned(name, trials)
    first = one.propose(COUNT)
    for number in (40, 3, COUNT):
        one.propose(number)
    assert one.propose(COUNT) == first == other.propose(COUNT)
    assert other.propose(COUNT + 1) != first
    assert learned(name, trials, seed=4).propose(COUNT) != first


def test_trials_teach_the_same_in_any_order(name):
    trials = [life[-1] for life in lives()]
    expected = [learned(name, trials).propose(number) for number in (COUNT, COUNT + 1)]
    for seed in range(3):
        shuffled = list(trials)
        random.Random(seed).shuffle(shuffled)
        made = learned(name, shuffled)
        assert [made.propose(number) for number in (COUNT, COUNT + 1)] == expected
        late = sampler(name)
        late.propose(0)  # it has begun before it hears of any
        for trial in shuffled:
            late.learn(trial)
        assert [late.propose(number) for number in (COUNT, COUNT + 1)] == expected


def test_one_that_saw_every_change_proposes_as_one_that_reads_the_study_afterwards(name):
    known = lives()
    read = learned(name, [life[-1] for life in known])
    saw = sampler(name)
    for place in range(max(map(len, known))):
        for life in known:
            if place < len(life):
                saw.learn(life[place])
        saw.propose(COUNT + place)
    assert saw.propose(COUNT) == read.propose(COUNT)


def test_a_failed_trial_and_one_of_an_earlier_study_are_taken(name):
    trials = [life[-1] for life in lives()]
    earlier = copy.deepcopy(trials[0])
    earlier.number = -1
    earlier.user_attrs = {}  # MLflow knew its value alone
    failed = ended(running(COUNT, trials[1].params), TrialState.FAIL)
    made = learned(name, [earlier, failed])
    assert SPACE.replay(made.propose(COUNT + 1).params, CONDITIONS)


def test_a_trial_that_fails_after_a_rung_teaches_as_one_that_failed_before_it(name):
    trials = [life[-1] for life in lives()]
    measured = at_rung(running(COUNT, trials[1].params), 10, 0.9)
    saw = learned(name, [*trials, paused_as_pruned(measured), measured, ended(measured, TrialState.FAIL)])
    read = learned(name, [*trials, ended(running(COUNT, trials[1].params), TrialState.FAIL)])
    assert saw.propose(COUNT + 1) == read.propose(COUNT + 1)


def test_what_means_nothing_in_this_search_teaches_nothing(name):
    made = learned(name, [life[-1] for life in lives()], adapt=lambda trial: None)
    assert made.propose(COUNT) == sampler(name).propose(COUNT)


def test_what_it_is_told_stays_as_it_was(name):
    trials = [life[-1] for life in lives()]
    before = copy.deepcopy(trials)
    learned(name, trials).propose(COUNT)
    for trial, was in zip(trials, before, strict=True):
        assert vars(trial) == vars(was)


@pytest.mark.slow
def test_fixed_values_are_taken_where_they_are_asked(name):
    made = learned(name, [life[-1] for life in lives()])
    for number, seed in enumerate(SPACE.seeds(CONDITIONS), start=COUNT):
        proposal = made.propose(number, seed.params)
        assert proposal.params == seed.params
        assert proposal.recipe == SPACE.replay(seed.params, CONDITIONS).recipe
    for number in range(40, 46):
        fixed = {"optimizer": "momentum", "schedule": "constant", "retinanet.adam.learning_rate": 1e-3}
        proposal = made.propose(number, fixed)
        assert (proposal.recipe.optimizer.kind, proposal.recipe.schedule.kind) == ("momentum", "constant")
        assert "retinanet.adam.learning_rate" not in proposal.params
    assert (
        len({made.propose(number).recipe.optimizer.kind for number in range(50, 70)}) > 1
    )  # none stays fixed


def test_what_the_space_raises_comes_through_and_leaves_nothing(name):
    broken: list[bool] = [True]

    def suggest(trial: Any) -> Any:
        trial.suggest_categorical("optimizer", ("adam", "momentum", "rms_prop"))
        if broken[0]:
            raise UserError("space 'mine': schedule.base: must be above 0")
        return SPACE.suggest(trial, CONDITIONS)

    trials = [life[-1] for life in lives()]
    made, fresh = (learned(name, trials, suggest=suggest) for _ in range(2))
    with pytest.raises(UserError, match=r"schedule\.base"):
        made.propose(COUNT)
    broken.clear()
    broken.append(False)
    assert made.propose(COUNT) == fresh.propose(COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stop", "promote"])
@pytest.mark.parametrize("objective", [OBJECTIVE, LOSS], ids=["maximize", "minimize"])
def test_a_study_that_goes_on_is_proposed_what_it_would_have_been(name, objective, mode, open_study):
    about = {"sampler": name, "objective": objective.name}

    def run(folder: str, steps: int | None = None) -> list[str]:
        study = open_study(folder, **about)
        asked = dataclasses.replace(context(seed=study.manifest.seed), objective=objective)
        search = Search(study, samplers.make(name, asked), Halving((10, 30, 90), mode=mode), 14)
        run_here(search, steps)
        search.interrupt()
        return [record.recipe_id for record in study.records()]

    whole = run("whole")
    assert len(set(whole)) == 14
    for steps in (2, 6, 3):
        begun = run("stopped", steps)
        assert begun == whole[: len(begun)]
    assert run("stopped") == whole


class AlwaysTheFirst:
    """Proposes the space's first published recipe."""

    def __init__(self, asked: SamplerContext) -> None:
        self._asked = asked

    def learn(self, trial: FrozenTrial) -> None:
        pass

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        params = dict(fixed or SPACE.seeds(CONDITIONS)[0].params)
        trial = optuna.create_study().ask(SPACE.replay(params, CONDITIONS).distributions)
        recipe = self._asked.suggest(optuna.trial.FixedTrial(params))
        return Proposal(recipe, params, trial.distributions)


def test_a_member_joins_by_being_registered(open_study, monkeypatch):
    monkeypatch.setattr(samplers, "_registered", dict(samplers._registered))
    samplers.register("first", AlwaysTheFirst)
    assert "first" in samplers.names()
    assert Settings(space="mobilenet", sampler="first").sampler == "first"
    study = open_study(sampler="first")
    run_here(Search(study, samplers.make("first", context()), Halving((10, 30, 90)), 3))
    known = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
    assert {record.recipe_id for record in study.records()} == {known.recipe_id}


def test_an_unknown_one_is_refused_in_one_line_with_the_known():
    known = ", ".join(samplers.names())
    with pytest.raises(UserError) as refused:
        samplers.make("grid", context())
    assert str(refused.value) == f"unknown sampler 'grid'; known are {known}"
    with pytest.raises(UserError) as refused:
        Settings(space="mobilenet", sampler="grid")
    assert str(refused.value) == f"--sampler: unknown sampler 'grid'; known are {known}"


@pytest.mark.parametrize("space", ["all"])
def test_every_branch_of_a_space_is_proposed(name, space):
    every = search_spaces.get(space)
    made = samplers.make(name, context(every))
    assert {made.propose(number).recipe.model for number in range(30)} == set(every.models)


def test_two_may_not_have_one_name(name):
    with pytest.raises(UserError, match=f"two samplers are called '{name}'"):
        samplers.register(name, AlwaysTheFirst)
