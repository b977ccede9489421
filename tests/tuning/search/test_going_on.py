"""Studies that go on as something more: with more steps, a changed space, or from an earlier study."""

from __future__ import annotations

import copy
import dataclasses
import functools
import sqlite3
from types import SimpleNamespace

import pytest
from curve_trainer import DATASET
from optuna.trial import TrialState
from searches import CONDITIONS, OBJECTIVE, SPACE, about, context, run_here, search_of
from test_search import rung, stored

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.parts.parameters import Range
from search_spaces.space import Space
from trainers import task as tasks
from trainers.errors import UserError
from tuning.api import earlier_study
from tuning.api.asked import as_begun
from tuning.api.settings import Settings
from tuning.search import warm_start
from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.search.space_adapter import SpaceAdapter
from tuning.study import manifest
from tuning.study.trial_folder import newest_checkpoint
from tuning.tracking.store import allowed_name

LONGER = dataclasses.replace(CONDITIONS, steps=270)
read = functools.partial(earlier_study.read, objective=lambda classes: OBJECTIVE)


def search_with(study, conditions: Conditions, trials: int, space: Space = SPACE) -> Search:
    adapter = SpaceAdapter(space, conditions, study.manifest.space_since)
    sampler = TPESampler(dataclasses.replace(context(space, conditions), adapt=adapter.adapt))
    rungs = (30, 90, 270) if conditions.steps == 270 else (10, 30, 90)
    return Search(study, sampler, Halving(rungs), trials)


def checkpoint(study, number: int, step: int) -> None:
    (study.trial_folder(number) / f"checkpoint-{step}").mkdir()
    (study.trial_folder(number) / f"checkpoint-{step}" / "state.json").write_text(f'{{"step": {step}}}')


@pytest.mark.slow
def test_more_steps_continue_the_best_trials_from_their_checkpoints(open_study):
    study = open_study()
    run_here(search_of(study, 9))
    before = study.records()
    completed = sorted((r for r in before if r.state == "completed"), key=lambda r: -r.value)
    for record in completed:
        checkpoint(study, record.number, 90)

    study = open_study(max_steps=270)
    assert study.manifest.max_steps == 270
    search = search_with(study, LONGER, 9)
    first = search.propose()
    best = completed[0]
    assert first.provenance["continues"] == str(best.number)
    assert first.recipe == dict(best.recipe) | {"steps": 270}
    assert newest_checkpoint(study.trial_folder(first.number))[0] == 90
    search.interrupt()

    study = open_study(max_steps=270)
    search = search_with(study, LONGER, 9)
    run_here(search)
    after = study.records()
    assert after[:9] == before
    assert [record.provenance["continues"] for record in after[9:]] == [
        str(record.number) for record in completed[: max(1, len(completed) // 3)]
    ]
    assert search_with(open_study(max_steps=270), LONGER, 9).exhausted
    run_here(search_with(open_study(max_steps=270), LONGER, 10))
    assert len(open_study(max_steps=270).records()) == len(after) + 1


@pytest.mark.slow
def test_an_interrupted_trial_goes_on_with_more_steps_as_another_one(open_study):
    study = open_study()
    search = search_of(study, 1)
    number = search.propose().number
    search.report(rung(number, 10, 0.2))
    search.interrupt()
    checkpoint(study, number, 17)

    study = open_study(max_steps=270)
    search = search_with(study, LONGER, 1)
    taken = search.propose()
    assert taken.provenance["continues"] == str(number)
    assert (
        study.record(number).verdict.reason
        == f"continued from step 10 by trial {taken.number}, with 270 steps"
    )
    assert [trial.state for trial in stored(study)] == [TrialState.PRUNED, TrialState.RUNNING]
    assert search.propose() is None
    assert newest_checkpoint(study.trial_folder(taken.number))[0] == 17


def test_fewer_steps_are_refused(open_study):
    open_study(max_steps=270)
    with pytest.raises(UserError, match="was begun with --max-steps 270, now it is 90"):
        open_study(max_steps=90)


def narrowed() -> Space:
    """The space without momentum, and with a narrower range for Adam."""
    branch = SPACE.branches[0]
    rates = {"adam": Range(1e-3, 6e-3, log=True), "rms_prop": branch.from_scratch["rms_prop"]}
    return Space("mobilenet", (dataclasses.replace(branch, from_scratch=rates),))


def with_space(space: Space) -> dict:
    return {
        "space_hash": space.hash(CONDITIONS),
        "space_rows": [row.to_dict() for row in space.rows(CONDITIONS)],
    }


def test_a_changed_space_is_refused_with_what_changed(open_study):
    open_study(**with_space(SPACE))
    with pytest.raises(UserError) as refused:
        open_study(**with_space(narrowed()))
    said = str(refused.value)
    assert "~ mobilenet.adam.learning_rate: " in said
    assert "0.001 to 0.006 (log)" in said
    assert "- mobilenet.momentum.learning_rate" in said
    assert "--accept-space-change keeps the trials that still fit" in said
    assert "\n" not in said


def test_the_seed_belongs_to_the_study(open_study, tmp_path):
    asked = Settings("mobilenet", seed=9)
    assert as_begun(asked, tmp_path / "street").seed == 9
    study = open_study(seed=4)
    again = as_begun(asked, study.folder)
    assert (again.seed, again.conditions(None).seed) == (4, 4)
    begun = Settings("mobilenet", seed=4, brackets=2, max_steps=again.max_steps)
    brackets = [dataclasses.replace(again, brackets=2).new_scheduler().rungs_of(n) for n in range(20)]
    assert brackets == [begun.new_scheduler().rungs_of(n) for n in range(20)]


def test_steps_image_size_and_weights_that_are_left_to_the_program_are_those_of_the_study(open_study):
    """A later version may have other defaults, and choose another image size for the same data."""
    study = open_study(max_steps=77, image_size=224, weights="none")
    left = as_begun(Settings("mobilenet", data="photos"), study.folder)
    assert (left.max_steps, left.image_size, left.weights) == (77, 224, "none")
    asked = as_begun(Settings("mobilenet", max_steps=90, image_size=160, weights="zoo"), study.folder)
    assert (asked.max_steps, asked.image_size, asked.weights) == (90, 160, "zoo")


@pytest.mark.slow
def test_an_accepted_change_of_space_keeps_what_still_fits(open_study, tmp_path):
    from tuning.study.study import Study

    study = open_study(**with_space(SPACE))
    run_here(search_of(study, 16))
    records = study.records()
    study.close()
    space = narrowed()
    study = Study.open(study.folder, about(**with_space(space)), accept_space_change=True)
    assert (study.manifest.space_since, study.manifest.space_hash) == (16, space.hash(CONDITIONS))
    adapter = SpaceAdapter(space, CONDITIONS, study.manifest.space_since)
    kept = {trial.number for trial in study.trials() if adapter.adapt(trial) is not None}

    def fits(record) -> bool:
        kind, rate = record.recipe["optimizer"]["kind"], record.recipe["schedule"]["base"]
        return kind == "rms_prop" or (kind == "adam" and rate >= 1e-3)

    assert kept == {record.number for record in records if fits(record)}
    assert 0 < len(kept) < 16
    run_here(search_with(study, CONDITIONS, 20, space))
    assert len(study.records()) == 20
    assert {record.recipe["optimizer"]["kind"] for record in study.records()[16:]} <= {"adam", "rms_prop"}
    study.close()
    again = Study.open(study.folder, about(**with_space(space)))
    assert again.manifest.space_since == 16
    again.close()


@pytest.fixture
def earlier(open_study):
    """A study of twelve trials, closed."""
    study = open_study("earlier")
    run_here(search_of(study, 12))
    return study


def test_what_was_continued_with_more_steps_is_tried_once(earlier, tmp_path):
    found = read("earlier", tmp_path, "")
    once = warm_start.warm_start(found, about(), SpaceAdapter(SPACE, CONDITIONS))
    found = read("earlier", tmp_path, "")
    again = [copy.copy(trial) for trial in found.trials]
    for trial in again:
        trial.number += len(again)
    both = dataclasses.replace(found, trials=[*found.trials, *again])
    twice = warm_start.warm_start(both, about(), SpaceAdapter(SPACE, CONDITIONS))
    assert [seed.params for seed in twice.seeds] == [seed.params for seed in once.seeds]


@pytest.mark.parametrize(
    "changes",
    [{"max_steps": 270}, {"data": manifest.of_data(DATASET) | {"fingerprint": "f00"}}],
    ids=["steps", "data"],
)
def test_trials_of_another_budget_or_other_data_are_tried_but_teach_nothing(earlier, tmp_path, changes):
    found = read(str(earlier.folder), tmp_path, "")
    start = warm_start.warm_start(found, about(**changes), SpaceAdapter(SPACE, CONDITIONS))
    assert len(start.seeds) == 4
    assert start.prior_trials == []
    assert "other data or budget" in start.message


def test_a_warm_start_from_one_detector_fits_its_branch_of_all(earlier, tmp_path):
    space = search_spaces.get("all")
    start = warm_start.warm_start(
        read("earlier", tmp_path, ""), about(space="all"), SpaceAdapter(space, CONDITIONS)
    )
    assert {seed.params["detector"] for seed in start.seeds} == {"mobilenet"}
    sampler = TPESampler(context(space))
    for prior in start.prior_trials:
        sampler.learn(prior)
    assert sampler.propose(0).recipe.model in space.models


def test_a_warm_start_without_a_use_is_one_line(earlier, open_study, tmp_path):
    found = read("earlier", tmp_path, "")
    classes = manifest.of_data(DATASET) | {"classes": ["raccoon"]}
    with pytest.raises(
        UserError, match=r"has other classes \(vehicle, pedestrian\) than this data \(raccoon\)"
    ):
        warm_start.warm_start(found, about(data=classes), SpaceAdapter(SPACE, CONDITIONS))
    retinanet = search_spaces.get("retinanet")
    with pytest.raises(UserError, match="none of its 12 ended trials fits this space"):
        warm_start.warm_start(found, about(), SpaceAdapter(retinanet, CONDITIONS))
    with pytest.raises(UserError, match="no such study in"):
        read("never", tmp_path, "")
    open_study("empty")
    with pytest.raises(UserError, match="none of its trials has ended yet"):
        read("empty", tmp_path, "")


@pytest.mark.slow
def test_a_warm_start_from_mlflow_is_that_from_the_study(earlier, open_study, tmp_path):
    from tuning.tracking.callback import Tracking

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    study = open_study("earlier")
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90)
    tracking.start()
    assert tracking.close() is None
    from_folder, from_mlflow = (
        warm_start.warm_start(read(source, tmp_path, uri), about(), SpaceAdapter(SPACE, CONDITIONS))
        for source in ("earlier", "mlflow:street")
    )
    assert [seed.params for seed in from_mlflow.seeds] == [seed.params for seed in from_folder.seeds]
    assert len(from_mlflow.prior_trials) == 12
    assert (len(from_folder.known), from_mlflow.known) == (12, ())
    by_number = {trial.number: trial for trial in from_mlflow.prior_trials}
    assert len(from_folder.prior_trials) == 8  # the others' results are taken over
    for ours in from_folder.prior_trials:
        theirs = by_number[ours.number]
        assert (theirs.number, theirs.params, theirs.value, theirs.state) == (
            ours.number,
            ours.params,
            ours.value,
            ours.state,
        )
    with sqlite3.connect(tmp_path / "mlflow.db") as store:  # as if their logging had been cut short
        store.execute("DELETE FROM latest_metrics WHERE key = 'rung'")
    steps = [max(trial.intermediate_values) for trial in read("mlflow:street", tmp_path, uri).trials]
    assert steps == [max(trial.intermediate_values) for trial in read("earlier", tmp_path, uri).trials]
    with pytest.raises(UserError, match="no such experiment"):
        read("mlflow:nothing", tmp_path, uri)


def test_an_objective_whose_name_mlflow_has_to_change_is_found_there():
    name = "AP/light (red)"
    objective = tasks.get("detection").objective(name, ["light (red)"])
    assert allowed_name(name) != name
    data = SimpleNamespace(
        params={"model": "mobilenet", "steps": "90"},
        metrics={allowed_name(name): 0.4, "rung": 90.0},
        tags={"verdict": "completed", "tuning.suggested": "{}", "tuning.trial": "3"},
    )
    trial = earlier_study._of_run(SimpleNamespace(data=data), objective)
    assert (trial.value, trial.intermediate_values) == (0.4, {90: 0.4})
