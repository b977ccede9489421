"""Tracking against a real MLflow store on SQLite: everything once, whatever is killed or away."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest
from mlflow import MlflowClient
from searches import run_here, search_of

from tuning.execution.environment import Share, note_hardware
from tuning.search.limits.meter import Meter
from tuning.study import verdict
from tuning.study.curves import POINTS, CurveFile, read
from tuning.study.spent import Price
from tuning.study.step_result import StepResult
from tuning.study.trial_folder import FILES, PICTURES
from tuning.tracking.callback import Tracking
from tuning.tracking.mlflow_writer import MLflowWriter
from tuning.tracking.run_inputs import flat

slow = pytest.mark.slow


def told(uri: str, study: str = "street") -> dict[str, dict]:
    """What the store holds of the study: by trial number ("" for the study), its run and all its points."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    runs = {}
    for run in client.search_runs([experiment.experiment_id]):
        points = Counter(
            (point.key, point.step)
            for key in run.data.metrics
            for point in client.get_metric_history(run.info.run_id, key)
        )
        name = run.data.tags.get("tuning.trial", "")
        assert name not in runs, f"trial {name} has two runs"
        runs[name] = {"run": run, "points": points, "id": run.info.run_id}
    return runs


def chunk(number: int, first: int, last: int) -> StepResult:
    steps = list(range(first, last + 1))
    losses = {"training_loss/total": [1 / step for step in steps], "learning_rate": [0.1] * len(steps)}
    return StepResult(number, last, "progress", 12.5, steps, losses)


def tracked(study, uri, tmp_path, trials: int) -> Tracking:
    """Run the study to so many trials while MLflow is told of it."""
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    search = search_of(study, trials, (tracking,))
    tracking.start()
    run_here(search)
    return tracking


@slow
def test_a_study_is_a_run_and_each_trial_a_child_with_its_verdict(open_study, uri, tmp_path):
    study = open_study()
    assert tracked(study, uri, tmp_path, 5).close() is None
    runs = told(uri)
    assert sorted(runs) == ["", "0", "1", "2", "3", "4"]
    for record in study.records():
        child = runs[str(record.number)]
        assert child["run"].data.tags["mlflow.parentRunId"] == runs[""]["id"]
        assert child["run"].data.tags["verdict"] == record.state
        assert child["run"].data.tags["verdict.reason"] == record.verdict.reason
        assert child["run"].info.status == "FINISHED"
        assert [step for key, step in sorted(child["points"]) if key == "mAP"] == [
            r.step for r in record.rungs
        ]
    assert runs[""]["run"].data.tags["best_trial"] == str(
        max(study.records(), key=lambda r: (r.step, r.value)).number
    )


@slow
def test_a_run_says_all_that_made_it(open_study, uri, tmp_path):
    study = open_study()
    share, command = Share(2, 0.5, Price(4.0)), "python -m tuning.run --space x"
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, share, command, writer=MLflowWriter)
    search = search_of(study, 6, (tracking,))
    search._spending.meter = Meter(study, gpus=0.5)
    tracking.start()
    run_here(search)
    folder = study.trial_folder(0)
    note_hardware(folder)
    for name in ("pipeline.config", "notes.txt"):  # of the trainer's own
        (folder / name).write_text("model {}")
    (folder / FILES).write_text('["notes.txt", "pipeline.config"]')
    (folder / PICTURES).mkdir()
    (folder / PICTURES / "loss.png").write_bytes(b"picture")
    tracking.drawn(0)
    assert tracking.close() is None

    runs = told(uri)
    parent, child, record = runs[""]["run"].data, runs["0"]["run"].data, study.record(0)
    assert parent.tags["command"] == "python -m tuning.run --space x"
    assert child.params["optimizer.kind"] == record.recipe["optimizer"]["kind"]
    assert child.params["schedule.base"] == str(record.recipe["schedule"]["base"])
    assert child.tags["data.fingerprint"] == "0123456789ab"
    assert child.tags["version.optuna"] == study.manifest.versions["optuna"]
    assert len(child.tags["mlflow.source.git.commit"]) == 40
    assert child.tags["hardware.cpu"]
    assert child.tags["hardware.threads"] == "2"
    seconds = record.seconds_training + record.seconds_overhead
    assert float(child.tags["seconds"]) == pytest.approx(seconds, abs=0.05)
    assert float(child.tags["gpu_hours"]) == pytest.approx(seconds / 3600 * 0.5, abs=1e-4)
    assert float(child.tags["cost"]) == pytest.approx(seconds / 3600 * 0.5 * 4.0, abs=1e-4)
    command = child.tags["command"].split()
    assert command[:5] == ["python", "-m", "tuning.train", "--run", runs["0"]["id"]]
    assert {"AP/vehicle", "mAP", "mAP_small", "AR100", "validation_loss/total"} <= set(child.metrics)
    files = {file.path for file in MlflowClient(uri).list_artifacts(runs["0"]["id"])}
    assert files == {"recipe.yaml", "pipeline.config", "notes.txt", "pictures"}

    stopped = next(record for record in study.records() if record.state == "pruned")
    tags = runs[str(stopped.number)]["run"].data.tags
    assert tags["verdict.step"] == str(stopped.step)
    assert float(tags["verdict.cutoff"]) == pytest.approx(stopped.verdict.cutoff, abs=1e-4)


@slow
def test_a_run_that_was_begun_but_not_filled_is_filled(open_study, uri, tmp_path, monkeypatch):
    """The server dies after it has made the run, and before it has its recipe."""
    study = open_study()
    with monkeypatch.context() as patch:
        patch.setattr(MLflowWriter, "_log_params", _away)
        assert "ConnectionError" in tracked(study, uri, tmp_path, 1).close(timeout=0.1)
    assert tracked(open_study(), uri, tmp_path, 1).close() is None
    runs = told(uri)
    assert runs[""]["run"].data.params["space"] == "mobilenet"
    assert runs["0"]["run"].data.params["model"] == "mobilenet"
    assert [file.path for file in MlflowClient(uri).list_artifacts(runs["0"]["id"])] == ["recipe.yaml"]


def _away(*_: object) -> None:
    raise ConnectionError("the server is gone")


@slow
def test_the_study_tells_of_a_trial_when_it_is_over_and_once(open_study, uri, tmp_path):
    def goes_on(results: int | None) -> str | None:
        study = open_study()
        tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
        search = search_of(study, 1, (tracking,))
        tracking.start()
        run_here(search, results)
        search.interrupt()
        return tracking.close()

    assert goes_on(1) is None
    assert "best_trial" not in told(uri)[""]["run"].data.tags
    assert goes_on(None) is None
    parent = told(uri)[""]
    assert parent["points"] == {("mAP", 0): 1}
    assert parent["run"].data.tags["best_trial"] == "0"


@slow
def test_an_interrupted_trial_keeps_its_run_and_no_point_is_there_twice(open_study, uri, tmp_path):
    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    search = search_of(study, 1, (tracking,))
    tracking.start()
    number = search.propose().number
    search.report(chunk(number, 1, 17))
    search.interrupt()
    assert tracking.close() is None
    before = told(uri)
    assert before["0"]["run"].info.status == "SCHEDULED", "it waits; KILLED would be shown as a failure"
    assert before[""]["run"].info.status == "FINISHED"

    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    search = search_of(study, 1, (tracking,))
    tracking.start()
    search.propose()
    search.report(chunk(number, 11, 30))  # from its checkpoint at 10
    search.report(StepResult(number, 31, "failed", reason="total loss is nan at step 32"))
    assert tracking.close() is None
    after = told(uri)
    assert after["0"]["id"] == before["0"]["id"]
    assert after["0"]["run"].info.status == "FAILED"
    steps = {
        step: count for (key, step), count in after["0"]["points"].items() if key == "training_loss/total"
    }
    assert steps == dict.fromkeys(range(1, 31), 1)


@slow
def test_what_a_killed_driver_had_told_but_not_noted_is_there_once(open_study, uri, tmp_path):
    study = open_study()
    assert tracked(study, uri, tmp_path, 3).close() is None
    before = told(uri)
    (study.trial_folder(1) / "mlflow.json").unlink()
    (study.folder / "mlflow.json").unlink()

    study = open_study()
    tracking = Tracking(study, uri, tmp_path / "artifacts", 90, writer=MLflowWriter)
    tracking.start()
    assert tracking.close() is None
    after = told(uri)
    assert {name: (one["id"], one["points"]) for name, one in after.items()} == {
        name: (one["id"], one["points"]) for name, one in before.items()
    }


@slow
def test_a_store_that_is_away_stops_nothing_and_is_told_everything_later(
    open_study, uri, tmp_path, monkeypatch
):
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # or it tries for minutes
    away = tmp_path / "mlflow.db"
    aside = tmp_path / "aside.db"
    away.rename(aside)
    away.mkdir()  # no database can be opened here
    study = open_study()
    tracking = tracked(study, uri, tmp_path, 4)
    assert tracking.close(timeout=0.1).startswith("4 trials (")
    assert len(study.records()) == 4

    away.rmdir()
    aside.rename(away)
    assert tracked(open_study(), uri, tmp_path, 5).close() is None
    assert sorted(told(uri)) == ["", "0", "1", "2", "3", "4"]


@slow
def test_a_database_of_another_mlflow_is_named_and_told_everything_once_it_is_right(
    open_study, uri, tmp_path
):
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        [(right,)] = base.execute("SELECT version_num FROM alembic_version").fetchall()
        base.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    said = tracked(open_study(), uri, tmp_path, 2).close(timeout=0.1)
    assert said.startswith("2 trials (")
    assert "out-of-date database schema" in said
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute("UPDATE alembic_version SET version_num = ?", (right,))
    assert tracked(open_study(), uri, tmp_path, 2).close() is None
    assert sorted(told(uri)) == ["", "0", "1"]


@slow
def test_another_store_is_told_the_whole_study(open_study, uri, store, tmp_path):
    assert tracked(open_study(), uri, tmp_path, 2).close() is None
    second = tmp_path / "second.db"
    second.write_bytes(store.read_bytes())
    other = f"sqlite:///{second}"
    assert tracked(open_study(), other, tmp_path, 3).close() is None
    assert sorted(told(other)) == ["", "0", "1", "2"]
    assert sorted(told(uri)) == ["", "0", "1"]


def test_a_curve_keeps_no_more_points_than_it_needs_and_each_step_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    curve = CurveFile(path, max_steps=10 * POINTS)
    curve.append(chunk(0, 1, 300))
    curve.append(chunk(0, 301, 500))
    assert [line["step"] for _, line in read(path)] == [1, *range(10, 501, 10)]
    again = CurveFile(path, max_steps=10 * POINTS)
    again.append(chunk(0, 401, 520))
    assert [line["step"] for _, line in read(path)] == [1, *range(10, 521, 10)]


def test_a_half_written_line_of_a_curve_is_not_read_and_is_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    CurveFile(path, 90).append(chunk(0, 1, 3))
    with path.open("a") as file:
        file.write('{"step": 4, "ti')
    assert [line["step"] for _, line in read(path)] == [1, 2, 3]
    CurveFile(path, 90).append(chunk(0, 3, 5))
    assert [line["step"] for _, line in read(path)] == [1, 2, 3, 4, 5]


def test_a_recipe_becomes_one_level_of_names():
    recipe = {
        "schedule": {"kind": "manual_step", "drops": [{"at": 0.5, "factor": 0.1}]},
        "augmentations": [{"name": "random_adjust_hue", "options": {"max_delta": 0.02}}],
        "seed": 0,
    }
    assert flat(recipe) == {
        "schedule.kind": "manual_step",
        "schedule.drops.0.at": 0.5,
        "schedule.drops.0.factor": 0.1,
        "augmentations.random_adjust_hue.max_delta": 0.02,
        "seed": 0,
    }


def test_only_an_interrupted_verdict_is_not_final():
    assert verdict.completed(9).final
    assert not verdict.interrupted(9).final
