"""A simulation from data to report, its steps done one after another in this process: no Ray, a small real detector."""

from __future__ import annotations

import csv

import pytest
from made_data import UNSURE, write

from trainers import model as models
from trainers import recipe as recipes
from trainers.datasets.opening import open_dataset
from trainers.errors import UserError
from tuning.active import curves, outcome, pool, report, running, training
from tuning.active.report import Reported
from tuning.active.simulation import Simulation, Step
from tuning.active.training import Job

pytestmark = pytest.mark.slow(8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulation of two seeds, done; and the job."""
    folder = tmp_path_factory.mktemp("active")
    dataset = open_dataset(str(write(folder / "d")), folder / "data")
    model = models.get("mobilenet")
    recipe = recipes.build({"model": model.name, **model.presets["laptop"]}).replace(steps=2)
    simulation = Simulation(
        folder / "active-d", dataset.fingerprint, recipe, ("entropy", "random"), 2, 4, 4, 2, None, False, 5
    )
    simulation.check(dataset)
    simulation.begin()
    job = Job(simulation, dataset, {}, "dice_trainer:DiceTrainer")
    for step in simulation.steps():
        training.train(job, step)
        training.clean(simulation, step)
    return job


def test_strategies_of_a_seed_share_the_first_images_and_have_equal_numbers_of_labels(made):
    done = running.finished(made.simulation)
    assert len(done) == 2 * (1 + 2 * 2)
    for step, found in done.items():
        assert found.labels == 4 + 4 * step.cycle
        assert len(set(found.added)) == 4
    first = [set(done[Step(seed, None, 0)].added) for seed in (0, 1)]
    assert first[0] != first[1]
    for seed in (0, 1):
        for name in ("entropy", "random"):
            added = [done[Step(seed, name, cycle)].added for cycle in (1, 2)]
            assert len(first[seed].union(*added)) == 12  # nothing is labelled twice


def test_entropy_picks_the_images_of_which_the_detector_is_unsure(made):
    done = running.finished(made.simulation)
    names = pool.index(made.dataset, made.simulation.folder).names
    unsure = {
        place
        for place, name in enumerate(names)
        if int(name.partition("train")[2].rpartition("train")[2][:-4]) < UNSURE
    }
    for seed in (0, 1):
        left = unsure - set(done[Step(seed, None, 0)].added)
        picked = set(done[Step(seed, "entropy", 1)].added) | set(done[Step(seed, "entropy", 2)].added)
        assert left <= picked


def test_the_report_has_the_verdict_a_picture_and_a_table(made):
    done = running.finished(made.simulation)
    found = curves.of_outcomes(made.simulation, done, "mAP50")
    page, picture, table = report.write(Reported(made.simulation, done, found, "random", "mAP50", 2.0))
    text = page.read_text()
    assert "entropy is better than random" in text
    assert "Labels saved" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 * 2 * 3
    assert {row["labels"] for row in rows} == {"4", "8", "12"}


def test_a_step_that_was_done_is_read_and_a_damaged_outcome_refused(made, tmp_path):
    folder = made.simulation.path(Step(0, None, 0))
    assert outcome.read(folder).labels == 4
    assert outcome.read(tmp_path) is None
    (tmp_path / outcome.NAME).write_text("{")
    with pytest.raises(UserError, match=r"is damaged .*; delete .* to train it again"):
        outcome.read(tmp_path)


def test_a_seed_that_is_not_complete_is_left_out_of_the_curves(made):
    done = running.finished(made.simulation)
    del done[Step(1, "random", 2)]
    assert curves.of_outcomes(made.simulation, done, "mAP50").seeds == 1
    del done[Step(0, "entropy", 2)]
    assert curves.of_outcomes(made.simulation, done, "mAP50") is None


def test_it_goes_on_with_more_seeds_and_strategies_and_with_nothing_else_changed(made):
    from dataclasses import replace

    replace(made.simulation, seeds=3, strategies=("margin", "entropy", "random")).begin()
    for field, value in {"batch": 3, "initial": 5, "cycles": 3, "data": "other", "fine_tune": True}.items():
        with pytest.raises(UserError, match=f"was begun with another {field.replace('_', '-')}"):
            replace(made.simulation, **{field: value}).begin()
    with pytest.raises(UserError, match="is no simulation; give another --name"):
        replace(made.simulation, folder=made.simulation.folder.parent / "data").begin()


def test_mlflow_has_a_run_for_each_strategy_and_seed_and_each_point_once(made, uri):
    from mlflow import MlflowClient

    from tuning.active import tracking

    done = running.finished(made.simulation)
    half = {step: found for step, found in done.items() if step.cycle < 2}
    for known in (half, done, done):
        tracking.log(uri, made.simulation, known, [])
    store = MlflowClient(uri)
    experiment = store.get_experiment_by_name("active-d").experiment_id
    runs = store.search_runs([experiment])
    assert sorted(run.info.run_name for run in runs) == sorted(
        f"{name}, seed {seed}" for name in ("entropy", "random") for seed in (0, 1)
    )
    for run in runs:
        assert [point.step for point in store.get_metric_history(run.info.run_id, "mAP50")] == [4, 8, 12]
        assert run.info.status == "FINISHED"
