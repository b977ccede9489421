"""Trials that train the recipe of another again are no candidates anywhere: they may be measured on other images."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from searches import CONDITIONS, OBJECTIVE, SPACE, about, context, run_here
from test_confirmation import StopInRepeat

from trainers.datasets.splits.folds import Fold
from tuning.api import earlier_study
from tuning.api.replaying import recorded, simulated
from tuning.reporting.context import ReportContext
from tuning.reporting.ledger import ledger
from tuning.reporting.parts import published_recipes
from tuning.reporting.statistics.best_so_far import best_so_far
from tuning.search import simulation
from tuning.search.callback import Callback
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study import pareto, reading
from tuning.study.spent import Spent
from tuning.study.study import Study
from tuning.study.trial_record import CONTINUES, FOLD, REPEATS, Rung, TrialRecord
from tuning.study.verdict import completed

STEPS = 90
BOTH = replace(OBJECTIVE, also=("latency_ms",))
PARAMS = SPACE.seeds(CONDITIONS)[0].params
RECIPE = SPACE.replay(PARAMS, CONDITIONS).recipe.to_dict()


def record(number: int, value: float, latency: float, repeats: int | None = None) -> TrialRecord:
    """A completed trial; with `repeats` one that trains that trial again on another part of the images."""
    metrics = {"mAP": value, "mAP50": value, "validation_loss/total": 1.0, "latency_ms": latency}
    rung = Rung(STEPS, value, number, 9, 9, metrics, "continue", "", 1, 1, None, BOTH.score(metrics))
    again = {} if repeats is None else {REPEATS: str(repeats), FOLD: str(Fold(1, 3))}
    return TrialRecord(number, "completed", completed(STEPS), "", RECIPE, (rung,), again, Spent())


SEARCHED = [record(0, 0.3, 10.0), record(1, 0.4, 20.0), record(2, 0.2, 30.0)]
WITH_REPEATS = [*SEARCHED, record(3, 0.9, 10.0, repeats=0), record(4, 0.8, 20.0, repeats=1)]
READERS = {
    "front": lambda records: [each.number for each in pareto.front(records, BOTH)],
    "hypervolume": lambda records: pareto.dominated_share(records, BOTH),
    "ledger": lambda records: ledger(records, STEPS, {}, OBJECTIVE).best,
    "best so far": lambda records: best_so_far(records, OBJECTIVE)[-1].best,
    "replay": lambda records: [
        curve.metrics["mAP"]
        for curve in simulation.of_records(records, dict.fromkeys(range(9), PARAMS), STEPS, OBJECTIVE)
    ],
}


@pytest.mark.parametrize("reader", READERS)
def test_a_good_value_on_other_images_changes_nothing(reader):
    assert READERS[reader](WITH_REPEATS) == READERS[reader](SEARCHED)


class Told(RandomSampler):
    """A sampler that remembers which trials it was told of."""

    def __init__(self) -> None:
        super().__init__(context())
        self.numbers: set[int] = set()

    def learn(self, trial) -> None:
        self.numbers.add(trial.number)


def search_of(study: Study, *callbacks: Callback, steps: int = STEPS, folds: int = 3, sampler=None) -> Search:
    halving = Halving((10, 30, 90, 270)[: 3 if steps == STEPS else 4], mode="promote")
    sampler = sampler or RandomSampler(context())
    return Search(study, sampler, halving, 18, callbacks=callbacks, confirm=2 * folds, folds=folds)


def searched(folder) -> None:
    """18 trials, and their finalists on folds, interrupted in the middle of the first fold."""
    study, stop = Study.open(folder, about(), durable=False), StopInRepeat()
    stop.search = search_of(study, stop)
    run_here(stop.search)
    stop.search.interrupt()
    study.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "street"
    searched(folder)
    return folder


@pytest.fixture
def interrupted(made, tmp_path):
    """The study's folder, for this test alone."""
    shutil.copytree(made, tmp_path / "street")
    return tmp_path / "street"


def test_with_more_steps_neither_an_interrupted_repeat_goes_on_nor_is_a_shorter_trial_trained_again(
    interrupted,
):
    study = Study.open(interrupted, about(max_steps=270), durable=False)
    run_here(search_of(study, steps=270))
    records = {each.number: each for each in study.records()}
    study.close()
    goes_on = {int(each.provenance[CONTINUES]) for each in records.values() if CONTINUES in each.provenance}
    assert goes_on
    assert all(records[number].repeats is None for number in goes_on)
    again = [each for each in records.values() if each.repeats is not None and each.state == "completed"]
    assert again
    assert {(each.step, each.recipe["steps"]) for each in again} == {(270, 270)}
    assert sum(each.repeats is None and CONTINUES not in each.provenance for each in records.values()) == 18


def test_a_repeat_on_one_of_three_folds_waits_while_there_are_five(interrupted):
    (waiting,) = _repeats(interrupted)
    study = Study.open(interrupted, about(), durable=False)
    run_here(search_of(study, folds=5))
    study.close()
    by_number = {each.number: each for each in _repeats(interrupted)}
    assert by_number[waiting.number].state == "interrupted"
    assert {str(each.fold)[-1] for each in by_number.values() if each.state == "completed"} == {"5"}
    study = Study.open(interrupted, about(), durable=False)
    run_here(search_of(study, folds=3))
    study.close()
    assert {each.number: each.state for each in _repeats(interrupted)}[waiting.number] == "completed"


def test_neither_a_sampler_nor_a_warm_start_learns_from_them(interrupted):
    study, sampler = Study.open(interrupted, about(), durable=False), Told()
    run_here(search_of(study, sampler=sampler))
    study.close()
    study, later = Study.open(interrupted, about(), durable=False), Told()
    search_of(study, sampler=later)
    repeats = {each.number for each in study.records() if each.repeats is not None}
    study.close()
    assert len(repeats) == 6
    assert not repeats & (sampler.numbers | later.numbers)
    earlier = earlier_study.read("street", interrupted.parent, "", lambda classes: OBJECTIVE)
    assert not repeats & {trial.number for trial in earlier.trials}
    assert not repeats & {known.record.number for known in earlier.known}


def test_a_study_that_was_confirmed_is_replayed_without_its_repeats(interrupted, tmp_path):
    study = Study.open(interrupted, about(), durable=False)
    run_here(search_of(study))
    study.close()
    found = recorded("street", interrupted.parent, None)
    assert len(found.curves) == found.rule.trials == 18
    given = found.curves, found.space, found.conditions, found.rule, found.seed, found.objective
    again, _ = simulated(tmp_path / "again", *given)
    again.close()


def test_the_report_takes_none_of_them_for_a_published_recipe(interrupted):
    study = Study.open(interrupted, about(), durable=False)
    run_here(search_of(study))
    study.close()
    found = published_recipes.section(ReportContext(reading.read("street", interrupted.parent)))
    assert found.text == [published_recipes.COMPARABLE], "no published recipe was tried"
    assert {row[2] for row in found.tables[0].rows} == {"not run"}


def _repeats(folder) -> list[TrialRecord]:
    return [each for each in reading.read(folder.name, folder.parent).records if each.repeats is not None]
