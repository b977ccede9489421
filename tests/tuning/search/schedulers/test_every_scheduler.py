"""The contract of a scheduler, held by every registered one."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator

import pytest
from curve_trainer import DATASET
from scheduler_driver import RULES, TRIALS, Driver, measured, whole
from searches import CONDITIONS, OBJECTIVE, SPACE, context, run_here, score

from trainers import task as tasks
from trainers.errors import UserError
from trainers.objective import Score
from tuning.api.settings import Settings
from tuning.search import scheduler as schedulers
from tuning.search.population.exploring import Explorer
from tuning.search.samplers.tpe import TPESampler
from tuning.search.scheduler import Judgement, Scheduler
from tuning.search.schedulers.full_training import FullTraining
from tuning.search.search import Search

LOSS = tasks.get("detection").objective("validation_loss/total", DATASET.classes)


@pytest.fixture(params=schedulers.names())
def name(request) -> str:
    return request.param


@pytest.fixture
def scheduler(name) -> Scheduler:
    return schedulers.make(name, RULES)


@pytest.mark.parametrize("brackets", [1, 3])
def test_equal_rules_decide_equally(name, brackets):
    rules = dataclasses.replace(RULES, brackets=brackets)
    one, other = whole(schedulers.make(name, rules)), whole(schedulers.make(name, rules))
    assert one.told == other.told
    assert {trial for trial, _ in one.decided} == {*range(TRIALS), *one.forks}


@pytest.mark.parametrize("brackets", [1, 3])
@pytest.mark.parametrize("cut", range(0, TRIALS, 3))
def test_one_that_is_told_what_was_measured_decides_as_the_one_that_saw_it(name, brackets, cut):
    rules = dataclasses.replace(RULES, brackets=brackets)
    driver = Driver(schedulers.make(name, rules))
    driver.run(0, cut)
    for order in range(3):
        again = driver.resumed(schedulers.make(name, rules), random.Random(order))
        again.run(cut, TRIALS)
        assert again.told == whole(schedulers.make(name, rules)).told


def test_a_trial_is_measured_at_rising_rungs_and_always_at_the_last(name):
    for brackets in (1, 3):
        scheduler = schedulers.make(name, dataclasses.replace(RULES, brackets=brackets))
        assert tuple(scheduler.rungs) == RULES.rungs
        assert scheduler.reduction_factor >= 1
        for trial in range(40):
            rungs = scheduler.rungs_of(trial)
            assert rungs == tuple(sorted(set(rungs) & set(RULES.rungs)))
            assert rungs[-1] == 90


def test_at_the_last_rung_everyone_is_done_and_only_who_may_pause_waits(scheduler):
    driver = whole(scheduler)
    for (_, step), decision in driver.decided.items():
        assert decision in ("continue", "stop", "pause")
        assert step < 90 or decision == "continue"
        assert decision != "pause" or scheduler.pauses
    assert any(step == 90 for _, step in driver.decided)


@pytest.mark.parametrize("place", range(3))
def test_what_is_not_a_number_is_refused_and_leaves_nothing(scheduler, place):
    values = [0.3, 0.5, 1.0]
    values[place] = math.nan
    with pytest.raises(ValueError, match="trial 5 has no score at step 10; a trial without one has failed"):
        scheduler.record(5, 10, Score(tuple(values), (0, 0, 0), 0.0))
    assert not scheduler.measured(5, 10)


def test_of_two_scores_of_a_trial_at_a_rung_the_first_counts(scheduler):
    for trial, mean in enumerate((0.5, 0.4, 0.3)):
        scheduler.record(trial, 10, score(mean))
    assert scheduler.measured(2, 10)
    assert not scheduler.measured(2, 30)
    before = scheduler.judge(2, 10)
    scheduler.record(2, 10, score(0.9))
    assert scheduler.judge(2, 10) == before == scheduler.judge(2, 10)
    assert (before.rank, before.of) == (3, 3)


@pytest.mark.parametrize(
    "scores",
    [
        [score(0.2, 0.9, 1.0), score(0.4, 0.1, 9.0), score(0.6, 0.0, 9.9)],
        [score(0.3, 0.2, 1.0), score(0.3001, 0.4, 9.0), score(0.2999, 0.6, 5.0)],
        [score(0.0, 0.01, 3.0), score(0.004, 0.0, 2.0), score(0.001, 0.019, 1.0)],
        [LOSS.of_value(3.0), LOSS.of_value(2.0), LOSS.of_value(-1.0)],
    ],
    ids=["by the objective", "by the first tie", "by the second tie", "the smaller the better"],
)
def test_trials_are_ranked_by_the_objective_and_its_ties(name, scores):
    for order in itertools.permutations(range(3)):
        scheduler = schedulers.make(name, RULES)
        for trial in order:
            scheduler.record(trial, 10, scores[trial])
        judged = [scheduler.judge(trial, 10) for trial in range(3)]
        assert [(each.rank, each.of) for each in judged] == [(3, 3), (2, 3), (1, 3)]
        assert judged[2].decision != "stop"
        waiting = dict.fromkeys(range(3), 10)
        assert scheduler.foremost(waiting) == 2
        for each, own in zip(judged, scores, strict=True):
            assert each.decision != "stop" or own.key < each.cutoff.key


def test_trials_that_are_equal_in_all_are_treated_alike(scheduler):
    for trial in range(6):
        scheduler.record(trial, 10, score(0.3, 0.5, 2.0))
    judged = [scheduler.judge(trial, 10) for trial in range(6)]
    assert {(each.rank, each.of) for each in judged} == {(1, 6)}
    assert len({each.decision for each in judged}) == 1
    assert judged[0].decision != "stop"


def paused(scheduler: Scheduler) -> Iterator[dict[int, int]]:
    """Trials that wait at the first and, better ones of them, at the second rung; ever more of them."""
    waiting: dict[int, int] = {}
    for trial in range(TRIALS):
        scheduler.record(trial, 10, measured(trial, 10))
        waiting[trial] = 10
        if trial % 5 == 4:
            scheduler.promote(trial, 10)
            scheduler.record(trial, 30, measured(trial, 30))
            waiting[trial] = 30
        yield waiting


def test_of_those_that_wait_the_foremost_is_the_best_at_the_highest_rung_and_never_hopeless(scheduler):
    for waiting in paused(scheduler):
        first = scheduler.foremost(waiting)
        highest = max(waiting.values())
        there = {trial: measured(trial, step).key for trial, step in waiting.items() if step == highest}
        assert there[first] == max(there.values())
        hopeless = scheduler.hopeless(waiting, TRIALS)
        assert set(hopeless) <= set(waiting)
        assert first not in hopeless
        for more, preferred in itertools.product((True, False), (frozenset(), frozenset(waiting))):
            up = scheduler.promotable(waiting, more, preferred)
            assert up is None or (up in waiting and up not in hopeless)


def test_where_nobody_waits_nobody_is_promoted(scheduler):
    for more in (True, False):
        assert scheduler.promotable({}, more) is None
    assert scheduler.hopeless({}, TRIALS) == []


def search(study, scheduler: Scheduler, trials: int = 8) -> Search:
    explorer = Explorer(lambda trial: SPACE.suggest(trial, CONDITIONS), seed=1)
    return Search(study, TPESampler(context()), scheduler, trials, explorer=explorer)


@pytest.mark.slow
def test_a_search_ends_every_trial_completes_one_and_goes_on_after_any_stop_as_if_there_was_none(
    name, open_study
):
    study = open_study("whole")
    run_here(search(study, schedulers.make(name, RULES)))
    ended = [(record.state, record.recipe_id, record.step) for record in study.records()]
    assert sum(record.fork is None for record in study.records()) == 8
    assert {state for state, _, _ in ended} <= {"completed", "pruned"}
    assert ("completed", 90) in {(state, step) for state, _, step in ended}

    for steps in (5, 3):
        stopped = search(open_study("stopped"), schedulers.make(name, RULES))
        run_here(stopped, steps=steps)
        stopped.stop("Ctrl-C")
        stopped.interrupt()
    study = open_study("stopped")
    run_here(search(study, schedulers.make(name, RULES)))
    assert [(record.state, record.recipe_id, record.step) for record in study.records()] == ended


class FirstComeFirstServed(FullTraining):
    """The first trial at a rung goes on, and no other."""

    def judge(self, trial: int, step: int) -> Judgement:
        judged = super().judge(trial, step)
        first = next(iter(self._scores[step]))
        if trial == first or step == self.rungs[-1]:
            return judged
        return dataclasses.replace(judged, decision="stop", cutoff=self._scores[step][first])


def test_a_member_joins_by_being_registered(open_study, monkeypatch):
    monkeypatch.setattr(schedulers, "_registered", dict(schedulers._registered))
    schedulers.register("first", lambda rules: FirstComeFirstServed(rules.rungs))
    assert "first" in schedulers.names()
    made = Settings(space="mobilenet", scheduler="first", max_steps=90).new_scheduler()
    assert isinstance(made, FirstComeFirstServed)
    study = open_study(scheduler="first")
    run_here(search(study, schedulers.make("first", RULES), 3))
    assert [(record.state, record.step) for record in study.records()] == [
        ("completed", 90), ("pruned", 10), ("pruned", 10),
    ]  # fmt: skip


def test_an_unknown_one_is_refused_in_one_line_with_the_known():
    known = ", ".join(schedulers.names())
    with pytest.raises(UserError) as refused:
        schedulers.make("asha", RULES)
    assert str(refused.value) == f"unknown scheduler 'asha'; known are {known}"
    with pytest.raises(UserError) as refused:
        Settings(space="mobilenet", scheduler="asha")
    assert str(refused.value) == f"--scheduler: unknown scheduler 'asha'; known are {known}"


def test_the_reason_names_the_objective_and_what_broke_a_tie():
    judged = Judgement("stop", 4, 5, score(0.3, 0.5, 1.0))
    assert judged.reason(score(0.2), OBJECTIVE) == "ranked 4 of 5: mAP 0.200, cutoff 0.300"
    assert judged.reason(score(0.3, 0.25), OBJECTIVE) == (
        "ranked 4 of 5: mAP 0.300, cutoff 0.300 (a tie, broken by mAP50: 0.250 to 0.500)"
    )
    assert dataclasses.replace(judged, cutoff=None).reason(LOSS.of_value(2.5), LOSS) == (
        "ranked 4 of 5: validation_loss/total 2.500"
    )


def test_two_may_not_have_one_name(name):
    with pytest.raises(UserError, match=f"two schedulers are called '{name}'"):
        schedulers.register(name, lambda rules: FirstComeFirstServed(rules.rungs))
