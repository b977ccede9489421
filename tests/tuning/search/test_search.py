from __future__ import annotations

import itertools
import math

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from searches import CONDITIONS, OBJECTIVE, SPACE, run_here, search_of

from trainers.errors import UserError
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study.step_result import StepResult


def stored(study):
    """The study as any other program reads it: Optuna's own classes on the journal file."""
    storage = JournalStorage(JournalFileBackend(str(study.folder / "optuna.journal")))
    return optuna.load_study(study_name=study.name, storage=storage).trials


def rung(number, step, mean, **more):
    metrics = {"mAP": mean, "mAP50": mean, "validation_loss/total": 1.0} | more
    return StepResult(number, step, "rung", metrics=metrics, seconds_training=step / 10, seconds_overhead=1.0)


def test_every_rung_is_told_to_optuna_the_stopping_one_too(open_study):
    study = open_study()
    run_here(search_of(study, 12))
    states = {trial.state for trial in stored(study)}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial, record in zip(stored(study), study.records(), strict=True):
        assert trial.intermediate_values == {rung.step: rung.value for rung in record.rungs}
        assert trial.value == record.value
        if trial.state == TrialState.PRUNED:
            assert max(trial.intermediate_values) in (10, 30)
            assert record.verdict.cutoff >= record.value
            assert record.rungs[-1].decision == "stop"
        else:
            assert max(trial.intermediate_values) == 90


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["mAP", "mAP50", "validation_loss/total", "validation_loss/localization"])
def test_a_rung_that_is_not_a_number_fails_the_trial_and_is_never_a_value(open_study, name, value):
    study = open_study()
    search = search_of(study, 1)
    number = search.propose().number
    assert not search.report(rung(number, 10, 0.1, **{name: value}))
    trial = stored(study)[number]
    assert trial.state == TrialState.FAIL
    assert trial.value is None
    assert trial.intermediate_values == {}
    assert study.record(number).verdict.reason == f"{name} is {value} at step 10"


def test_a_worker_that_reports_a_failure_ends_the_trial_with_its_reason(open_study):
    study = open_study()
    search = search_of(study, 2)
    number = search.propose().number
    assert search.report(rung(number, 10, 0.1))
    assert not search.report(StepResult(number, 12, "failed", reason="total loss is nan at step 13"))
    record = study.record(number)
    assert (record.state, record.verdict.reason, record.verdict.step) == (
        "failed",
        "total loss is nan at step 13",
        12,
    )
    assert stored(study)[number].state == TrialState.FAIL
    assert search.propose() is not None


def test_a_worker_that_died_too_often_fails_its_trial(open_study):
    study = open_study()
    search = search_of(study, 1)
    number = search.propose().number
    search.report(StepResult(number, 7, "progress", seconds_training=2.0, seconds_overhead=3.0))
    assert search.lost(number).seconds_training == 2.0
    search.crashed(number, "its worker process died")
    record = study.record(number)
    assert (record.state, record.verdict.step) == ("failed", 7)
    assert record.seconds_overhead == pytest.approx(3.0, abs=0.5)


def test_a_trial_that_the_engine_gave_back_is_the_next_one_and_goes_on_from_its_last_rung(open_study):
    study = open_study()
    search = search_of(study, 2)
    number = search.propose().number
    search.report(StepResult(number, 10, "rung", metrics={"mAP": 0.2}))
    search.lost(number, "10.0.0.7")
    search.put_back(number, "its worker was lost as it began")
    assert (study.record(number).state, search.live) == ("interrupted", 0)
    again = search.propose()
    assert (again.number, again.step, again.state, again.losses) == (number, 10, "running", ("10.0.0.7",))


def test_published_recipes_are_proposed_first_and_then_with_every_third_trial(open_study):
    study = open_study()
    search = search_of(study, 9, seeds=3)
    proposed = [search.propose() for _ in range(9)]
    names = [seed.name for seed in SPACE.seeds(CONDITIONS)[:3]]
    said = [record.provenance.get("name") for record in proposed]
    assert said == [names[0], *[None] * 4, names[1], *[None] * 2, names[2]]
    expected = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
    assert proposed[0].recipe == expected.to_dict()


def test_seeds_are_proposed_once_however_often_a_study_is_opened(open_study):
    run_here(search_of(open_study(), 6, seeds=2))
    study = open_study()
    search = search_of(study, 7, seeds=2)
    assert search.propose().provenance == {}
    assert sum(bool(record.provenance) for record in study.records()) == 2


def test_an_interrupted_trial_goes_on_first_under_its_own_number(open_study):
    study = open_study()
    search = search_of(study, 4)
    first, second = search.propose(), search.propose()
    search.report(rung(first.number, 10, 0.2))
    search.report(StepResult(first.number, 17, "progress", seconds_training=1.7, seconds_overhead=2.0))
    search.stop("Ctrl-C")
    assert search.propose() is None
    search.interrupt()
    assert (
        study.record(first.number).verdict.reason
        == "the search was stopped at step 17; resumes with the search"
    )
    assert {trial.state for trial in stored(study)} == {TrialState.WAITING}

    study = open_study()
    search = search_of(study, 4)
    again = [search.propose() for _ in range(4)]
    assert [record.number for record in again] == [first.number, second.number, 2, 3]
    assert again[0].recipe == first.recipe
    assert (again[0].step, again[0].seconds_training) == (10, 1.7)
    assert search.propose() is None


def test_trials_of_a_killed_driver_are_interrupted_when_the_study_is_opened(open_study):
    study = open_study()
    search = search_of(study, 2)
    number = search.propose().number
    search.report(rung(number, 10, 0.2))
    assert stored(study)[number].state == TrialState.RUNNING

    study = open_study()
    assert study.record(number).state == "interrupted"
    assert stored(study)[number].state == TrialState.WAITING


def test_a_verdict_that_a_killed_driver_had_reached_is_given_without_training(open_study):
    study = open_study()
    search = search_of(study, 9)
    for mean in (0.5, 0.4):
        search.report(rung(search.propose().number, 10, mean))
    number = search.propose().number
    tell, study.tell = study.tell, lambda *_: None
    search.report(rung(number, 10, 0.1))  # judged and kept, and killed before the tell
    del study.tell
    assert tell is not None
    assert stored(study)[number].state == TrialState.RUNNING

    study = open_study()
    search = search_of(study, 9)
    again = [search.propose().number for _ in range(3)]
    assert again == [0, 1, 3]
    assert study.record(number).state == "pruned"
    assert stored(study)[number].value == 0.1


def test_a_rung_that_a_resumed_trial_passes_again_is_told_once(open_study):
    study = open_study()
    search = search_of(study, 1)
    number = search.propose().number
    assert search.report(rung(number, 10, 0.2))
    assert search.report(rung(number, 10, 0.7))
    assert [step.value for step in study.record(number).rungs] == [0.2]


def test_more_trials_extend_a_finished_study(open_study):
    run_here(search_of(open_study(), 3))
    study = open_study()
    search = search_of(study, 3)
    assert search.exhausted
    assert search.propose() is None
    run_here(search_of(study, 5))
    assert len(study.records()) == 5


@pytest.mark.slow
def test_the_same_seed_proposes_the_same_and_so_does_a_resumed_study(open_study):
    run_here(search_of(open_study(), 14))
    whole = [record.recipe_id for record in open_study().records()]
    assert len(set(whole)) == 14

    run_here(search_of(open_study("resumed"), 5))
    run_here(search_of(open_study("resumed"), 14))
    assert [record.recipe_id for record in open_study("resumed").records()] == whole

    run_here(search_of(open_study("other", seed=2), 1))
    assert open_study("other", seed=2).record(0).recipe_id != whole[0]


def test_a_space_that_makes_no_recipe_ends_the_search_and_leaves_no_trial(open_study):
    def impossible(trial):
        trial.suggest_float("x", 0, 1)
        raise UserError("space 'mobilenet': schedule.base: must be above 0")

    study = open_study()
    search = Search(study, TPESampler(SamplerContext(impossible, 1, OBJECTIVE)), Halving((10,)), 3)
    with pytest.raises(UserError, match=r"schedule\.base"):
        search.propose()
    assert stored(study) == []


def test_what_the_user_must_mend_stops_the_search_and_keeps_the_trial(open_study):
    study = open_study()
    search = search_of(study, 3)
    number = search.propose().number
    assert not search.report(StepResult(number, 0, "halt", reason="weights.zip: is gone"))
    search.interrupt()
    assert search.propose() is None
    assert search.fatal_result.reason == "weights.zip: is gone"
    assert study.record(number).state == "interrupted"


def test_promoting_takes_the_best_up_under_their_own_numbers_and_prunes_the_rest_at_the_end(open_study):
    study = open_study()
    search = search_of(study, 13, mode="promote")
    run_here(search)
    assert search.exhausted
    records = study.records()
    assert len(records) == 13
    assert {record.state for record in records} == {"completed", "pruned"}
    at_first_rung = sorted((record.rungs[0].value for record in records), reverse=True)
    up = [record for record in records if len(record.rungs) > 1]
    assert len(up) >= 4
    assert {record.rungs[0].value for record in records if record.rungs[0].value > at_first_rung[4]} <= {
        record.rungs[0].value for record in up
    }
    assert all(record.rungs[-1].decision == "continue" for record in records if record.state == "completed")
    assert all("was not promoted" in record.verdict.reason for record in records if record.state == "pruned")
    assert {trial.state for trial in stored(study)} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_somebody_goes_all_the_way_even_in_the_smallest_search(open_study):
    study = open_study()
    run_here(search_of(study, 2, mode="promote"))
    assert sorted(record.state for record in study.records()) == ["completed", "pruned"]


def test_waiting_trials_of_an_interrupted_search_wait_again(open_study):
    whole = open_study("whole")
    run_here(search_of(whole, 8, mode="promote"))
    study = open_study("stopped")
    search = search_of(study, 8, mode="promote")
    run_here(search, steps=5)
    search.stop("Ctrl-C")
    search.interrupt()
    assert {record.state for record in study.records()} == {"interrupted", "pruned"}  # these can win no more
    study = open_study("stopped")
    run_here(search_of(study, 8, mode="promote"))
    again = open_study("whole")
    assert [(r.state, r.recipe_id, r.step) for r in study.records()] == [
        (r.state, r.recipe_id, r.step) for r in again.records()
    ]


def test_a_trial_of_a_higher_bracket_is_not_measured_at_the_first_rungs(open_study):
    study = open_study()
    search = search_of(study, 12, brackets=3, seed=4)
    run_here(search)
    for record in study.records():
        assert [rung.step for rung in record.rungs] == list(search.scheduler.rungs_of(record.number))[
            : len(record.rungs)
        ]
    assert any(record.rungs[0].step > 10 for record in study.records())


def test_a_free_worker_gets_the_trial_whose_graph_it_has(open_study):
    sizes = itertools.cycle([2, 4])

    def suggest(trial):
        return SPACE.suggest(trial, CONDITIONS).replace(batch_size=next(sizes))

    sampler = TPESampler(SamplerContext(suggest, 1, OBJECTIVE))
    search = Search(open_study(), sampler, Halving((10, 30, 90), mode="promote"), 6)
    for _ in range(6):  # as many workers
        search.propose()
    for number in range(6):  # the best two are 5, with batches of 4, and 4, with batches of 2
        search.report(rung(number, 10, 0.1 * (1 + number)))
    assert search.propose().number == 4  # to the worker of trial 0
    assert search.propose().number == 5
