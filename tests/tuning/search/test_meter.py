"""What a study has cost is on disk at any moment: no kill takes it back, no resume counts it twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from searches import about, search_of

from tuning.search.limits import meter as meters
from tuning.search.limits.budget import Budget, Spending
from tuning.search.limits.meter import Meter
from tuning.search.search import Search
from tuning.study import reading
from tuning.study.spent import Spent, WorkersCost, stored
from tuning.study.step_result import StepResult
from tuning.study.study import Study


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def killed_and_opened(tmp_path) -> Callable[[Study | None], Study]:
    """Opens the study of which a driver was killed: nothing was closed."""

    def opened(killed: Study | None = None) -> Study:
        if killed is not None:
            killed._lock.release()
        return Study.open(tmp_path / "street", about())

    return opened


def metered(study: Study, gpus: float = 1.0, trials: int = 9) -> tuple[Search, Meter]:
    search = search_of(study, trials)
    search._spending.meter = Meter(study, gpus)
    return search, search._spending.meter


def trained(number: int, first: int, last: int, seconds: float, kind: str = "progress") -> StepResult:
    metrics = {"mAP": 0.1, "mAP50": 0.2, "validation_loss/total": 1.0} if kind == "rung" else {}
    return StepResult(
        number, last, kind, steps=range(first, last + 1), seconds_training=seconds, metrics=metrics
    )


def test_a_killed_driver_loses_neither_steps_nor_seconds_nor_gpu_hours_nor_wall_time(
    killed_and_opened, clock
):
    study = killed_and_opened()
    search, meter = metered(study)
    number = search.propose().number
    clock[0] += 1050
    search.report(trained(number, 1, 4, 1050))
    clock[0] += 2000
    search.report(trained(number, 5, 9, 3050))
    assert meter.total().seconds == 3050

    study = killed_and_opened(study)
    meter = Meter(study, gpus=1.0)
    assert study.wall_seconds == 3050
    assert (meter.steps, meter.gpu_hours) == (9, 3050 / 3600)
    assert study.record(number).spent == Spent(9, 3050.0, 0.0, 3050.0)
    assert Spending(meter, Budget(gpu_hours=0.84), 90).limit() == "--gpu-hours 0.84"


def test_steps_that_a_kill_undid_count_again_and_others_only_once(killed_and_opened):
    study = killed_and_opened()
    search, _ = metered(study)
    number = search.propose().number
    search.report(trained(number, 1, 10, 10, "rung"))
    search.report(trained(number, 11, 29, 29))
    search._spending.meter._saved = -meters.SAVE_SECONDS
    search._spending.meter.save()

    study = killed_and_opened(study)
    search, meter = metered(study)
    assert meter.steps == 29
    assert search.propose().number == number
    assert meter.steps == 29
    search.report(trained(number, 21, 30, 40))  # its checkpoint was at step 20
    assert meter.steps == 39
    search.interrupt()
    assert study.record(number).spent.steps == meter.steps == 39


def test_what_a_worker_did_after_the_last_message_before_a_kill_is_spent(killed_and_opened, clock):
    study = killed_and_opened()
    search, meter = metered(study)
    number = search.propose().number
    study.trial_folder(number).mkdir(parents=True, exist_ok=True)
    clock[0] += 10
    search.report(trained(number, 1, 4, 10))
    WorkersCost(9, 25.0, 1.0).write(study.trial_folder(number))

    study = killed_and_opened(study)
    assert study.record(number).spent == Spent(9, 25.0, 1.0, 26.0)
    search, meter = metered(study)
    assert search.propose().number == number
    WorkersCost(12, 30.0, 1.0).write(study.trial_folder(number))
    assert search.lost(number).spent == Spent(12, 30.0, 1.0, 31.0), "the worker died before its message came"
    assert meter.steps == 12


def test_what_a_worker_counted_is_less_than_its_driver_knows_of_it():
    known = Spent(steps=9, training=20.0, overhead=7.0, gpu_seconds=13.5)
    assert known.with_workers(WorkersCost()) == known
    assert known.with_workers(WorkersCost(9, 20.0, 5.0)) == known
    assert known.with_workers(WorkersCost(10, 24.0, 5.0)) == Spent(10, 24.0, 5.0, 14.5)


def test_a_trial_that_continues_another_is_not_charged_for_it(open_study):
    study = open_study()
    search, _ = metered(study, trials=1)
    number = search.propose().number
    for first, last in ((1, 10), (11, 30), (31, 90)):
        search.report(trained(number, first, last, last, "rung"))
    assert study.record(number).state == "completed"

    longer = open_study(max_steps=270)
    search = Search(longer, search._new_trials._sampler, type(search.scheduler)((10, 30, 90, 270)), 1)
    again = search.propose().number
    search.report(trained(again, 91, 270, 200, "rung"))
    assert search._spending.meter.steps == 270
    assert [record.spent.steps for record in longer.records()] == [90, 180]


def test_an_evaluation_that_still_runs_is_spent_too(open_study, clock):
    search, meter = metered(open_study())
    number = search.propose().number
    search.report(trained(number, 1, 9, 20))
    clock[0] += 3600
    assert meter.gpu_hours == pytest.approx(1 + 20 / 3600)
    search.report(trained(number, 10, 10, 21))  # 20 of them belong to the time before
    assert meter.gpu_hours == pytest.approx(1 + 20 / 3600), "it never falls"


def test_the_start_of_a_workers_process_and_the_last_seconds_of_a_lost_one_are_overhead(open_study, clock):
    search, meter = metered(open_study())
    number = search.propose().number
    clock[0] += 12
    search.report(trained(number, 1, 2, 2))
    assert meter.spent(number) == Spent(2, 2.0, 10.0, 12.0)
    clock[0] += 5
    assert search.lost(number).spent == Spent(2, 2.0, 15.0, 17.0)
    clock[0] += 3
    search.report(StepResult(number, 2, "progress", seconds_training=2.0, seconds_overhead=16.0))
    assert meter.spent(number) == Spent(2, 2.0, 18.0, 20.0)


def test_gpu_hours_of_the_past_do_not_depend_on_how_many_gpus_a_worker_has_today(open_study):
    study = open_study()
    search, _ = metered(study, gpus=1.0)
    search.report(trained(search.propose().number, 1, 9, 7200))
    search.interrupt()
    assert Meter(open_study(), gpus=0.25).gpu_hours == pytest.approx(2, rel=1e-3)


def test_a_study_of_an_earlier_version_keeps_the_gpus_of_the_first_run_that_stores_them(open_study):
    study = open_study()
    search, _ = metered(study)
    number = search.propose().number
    study._set(number, "seconds", {"training": 3000.0, "overhead": 600.0})
    study = open_study()
    assert Meter(study, gpus=0.5).gpu_hours == 0.5
    assert Meter(open_study(), gpus=4).gpu_hours == 0.5


@pytest.mark.parametrize(
    ("last_step", "source", "steps"),
    [(90, "", 90), (270, "from its checkpoint at step 90", 180), (270, "its checkpoint is gone", 270)],
)
def test_steps_of_an_earlier_version_are_those_since_the_trials_own_start(last_step, source, steps):
    assert stored({"training": 5.0, "overhead": 2.0}, last_step, source) == Spent(steps, 5.0, 2.0, 0.0, 7.0)


def test_a_report_made_while_the_search_runs_knows_what_the_running_trial_has_cost(open_study, tmp_path):
    study = open_study()
    search, meter = metered(study)
    number = search.propose().number
    search.report(trained(number, 1, 9, 100))
    meter._saved = -meters.SAVE_SECONDS
    meter.save()
    assert reading.read("street", tmp_path).records[number].spent.steps == 9


@pytest.mark.parametrize("left", ["", '{"wall_seconds": 3'])
def test_a_file_that_a_power_cut_left_empty_counts_as_none(open_study, left):
    study = open_study()
    search, _ = metered(study)
    search.report(trained(search.propose().number, 1, 9, 100))
    search.interrupt()
    Path(study.folder / "spending.json").write_text(left)
    assert Meter(open_study()).steps == 9
    assert json.loads(json.dumps(Spent(1).to_dict()))["steps"] == 1
