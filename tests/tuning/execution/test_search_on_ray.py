"""The whole stack: the command, real Ray, Optuna's journal and MLflow on SQLite; only the trainer is a formula."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from curve_trainer import DATASET, CurveTrainer
from mlflow import MlflowClient
from searches import search_of

from trainers.recipe import build
from tuning import ledger
from tuning.execution import ray_scheduler
from tuning.execution.engine import Job, Resources, run
from tuning.run import main
from tuning.search.callback import Callback

pytestmark = [pytest.mark.slow(160), pytest.mark.usefixtures("furnished")]
TRAINER = "curve_trainer:CurveTrainer"
ROOT = Path(__file__).parents[3]


def command(studies: Path, *more: str) -> list[str]:
    return [
        "--space",
        "mobilenet",
        "--studies-dir",
        str(studies),
        "--trainer",
        TRAINER,
        "--max-steps",
        "90",
        "--workers",
        "1",
        *more,
    ]


def joining() -> dict[str, str]:
    """The environment of a process that joins local_ray, which is on the loopback interface alone."""
    return os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def job_of(factory: str, options: dict | None = None, **more) -> Job:
    return Job("detection", DATASET, options or {}, {"mobilenet": factory}, **more)


def outcome(studies: Path, study: str = "mobilenet-toy-city") -> dict:
    return json.loads((studies / study / "summary.json").read_text())


def test_a_search_ends_with_its_summary_its_files_and_every_trial_in_mlflow(local_ray, tmp_path, capsys):
    assert main(command(tmp_path, "--trials", "6", "--workers", "2")) == 0
    said = capsys.readouterr().out
    found = outcome(tmp_path)
    assert len(found["trials"]) == 6
    assert {trial["state"] for trial in found["trials"]} <= {"completed", "pruned"}
    best = found["best"]
    folder = tmp_path / "mobilenet-toy-city" / "trials" / str(best["trial"])
    assert f"best        trial {best['trial']}" in said
    assert (folder / "checkpoint-90").is_dir()
    assert (folder / "recipe.yaml").is_file()
    assert (folder / "pipeline.config").is_file()
    split = (tmp_path / "mobilenet-toy-city" / "split.csv").read_text().splitlines()
    assert split[:2] == ["part,image", "train,train-00000.jpg"]
    assert len(split) == 1 + 240 + 60

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mobilenet-toy-city")
    runs = client.search_runs([experiment.experiment_id])
    parents = [parent for parent in runs if "mlflow.parentRunId" not in parent.data.tags]
    assert len(parents) == 1
    children = {int(child.data.tags["tuning.trial"]): child for child in runs if child not in parents}
    assert sorted(children) == list(range(6))
    for trial in found["trials"]:
        child = children[trial["trial"]]
        assert child.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert child.data.tags["verdict"] == trial["state"]
        assert child.data.params["schedule.base"] == str(trial["recipe"]["schedule"]["base"])
        logged = client.get_metric_history(child.info.run_id, "mAP")
        assert [(point.step, point.value) for point in logged] == [
            (r["step"], r["mAP"]) for r in trial["rungs"]
        ]
        assert all(r["value"] == r["mAP"] for r in trial["rungs"])
        losses = client.get_metric_history(child.info.run_id, "training_loss/total")
        assert [point.step for point in losses] == list(range(1, trial["rungs"][-1]["step"] + 1))
        assert {file.path for file in client.list_artifacts(child.info.run_id)} == {
            "recipe.yaml",
            "pipeline.config",
        }

    assert main(command(tmp_path, "--trials", "8")) == 0
    extended = outcome(tmp_path)
    assert extended["trials"][:6] == found["trials"]
    assert len(extended["trials"]) == 8
    assert len(client.search_runs([experiment.experiment_id])) == 9


def test_trials_share_one_process(local_ray, open_study, tmp_path):
    study = open_study()
    search = search_of(study, 5)
    run(search, job_of("pid_trainer:PidTrainer"), Resources())
    pids = {(study.trial_folder(number) / "pipeline.config").read_text() for number in range(5)}
    assert len(pids) == 1


def test_a_stopped_search_interrupts_its_trial_and_goes_on_from_where_it_stood(local_ray, open_study):
    class StopAfter(Callback):
        def __init__(self) -> None:
            self.chunks = 0

        def progressed(self, result) -> None:
            self.chunks += 1
            if self.chunks == 4:
                search.stop("the test")

    study = open_study()
    search = search_of(study, 2, (StopAfter(),))
    run(search, job_of(TRAINER, {"pace": 0.05}, chunk_seconds=0.05), Resources())
    stood = study.record(0).verdict
    assert stood.state == "interrupted"
    assert 0 < stood.step < 90
    assert [entry.name for entry in study.trial_folder(0).glob("checkpoint-*")] == [
        f"checkpoint-{stood.step}"
    ]

    study = open_study()
    search = search_of(study, 2)
    run(search, job_of(TRAINER), Resources())
    assert [record.state for record in study.records()] == ["completed", "completed"]


def test_a_worker_that_is_killed_is_replaced_and_its_trial_goes_on(local_ray, open_study, tmp_path):
    told = []

    class Told(Callback):
        def progressed(self, result) -> None:
            told.append((result.step, list(result.steps)))

    study = open_study()
    search = search_of(study, 1, (Told(),))
    trouble = {"kill": 60, "once": str(tmp_path / "killed")}
    run(search, job_of(TRAINER, trouble), Resources())
    record = study.record(0)
    assert (tmp_path / "killed").exists()
    assert record.state == "completed"
    assert [rung.step for rung in record.rungs] == [10, 30, 90]
    assert [step for _, steps in told for step in steps] == list(range(1, 91))


def test_a_trial_for_which_there_is_no_room_gets_the_worker_of_one_that_has_ended(
    local_ray, open_study, monkeypatch
):
    monkeypatch.setattr(ray_scheduler, "ROOM_SECONDS", 1.0)
    first: list[int] = []  # the trials, in the order of their first steps

    class Heard(Callback):
        def progressed(self, result) -> None:
            if result.trial not in first:
                first.append(result.trial)

    search = search_of(open_study(), 9, (Heard(),))
    run(search, job_of(TRAINER, {"pace": 0.02}, chunk_seconds=0.2), Resources(workers=3))  # on two CPUs
    assert sorted(first) == list(range(9))
    assert first.index(2) < 5, "it waited until the others had begun"


def test_a_worker_that_gets_sigterm_saves_and_another_goes_on(local_ray, open_study):
    """As on a spot machine. Three times: deaths with a checkpoint in between do not fail the trial."""
    study, told, ended = open_study(), [], []

    class Terminate(Callback):
        def progressed(self, result) -> None:
            told.extend(result.steps)
            if len(ended) < 3 and result.step in range(31 + 8 * len(ended), 70):
                ended.append(result.step)
                text = (study.trial_folder(0) / "pipeline.config").read_text()
                os.kill(int(re.search(r"\d+", text)[0]), signal.SIGTERM)

    search = search_of(study, 1, (Terminate(),))
    run(search, job_of("pid_trainer:PidTrainer", {"pace": 0.05}, chunk_seconds=0.2), Resources())
    assert len(ended) == 3
    assert study.record(0).state == "completed"
    assert len(told) - len(set(told)) == 0, "no step is trained twice"
    assert study.record(0).spent.steps >= 90 - 3 * 4  # the chunks whose messages were lost


def test_a_worker_that_dies_again_and_again_fails_its_trial_and_the_search_goes_on(
    local_ray, open_study, tmp_path
):
    study = open_study()
    search = search_of(study, 1)
    run(search, job_of(TRAINER, {"kill": 20}), Resources())
    assert study.record(0).verdict.reason == "its worker process died (out of memory, or killed)"
    assert study.record(0).verdict.step == 19


def test_a_worker_that_dies_while_it_has_no_trial_fails_none(local_ray, open_study, tmp_path):
    class Slow(Callback):
        def ended(self, record) -> None:
            time.sleep(1.5)  # until the worker is dead that the next trial is given to

    study = open_study()
    search = search_of(study, 2, (Slow(),))
    run(search, job_of("pid_trainer:LastWords", {"once": str(tmp_path / "killed")}), Resources())
    assert [record.state for record in study.records()] == ["completed", "completed"]
    assert [record.losses for record in study.records()] == [(), ("",)]


def test_failing_trials_are_failed_in_summary_and_mlflow_and_all_failed_is_exit_code_1(
    local_ray, tmp_path, monkeypatch, capsys
):
    assert main(command(tmp_path, "--trials", "2", "--trainer", "pid_trainer:Diverging")) == 1
    reasons = [trial["reason"] for trial in outcome(tmp_path)["trials"]]
    assert reasons == ["total loss is nan at step 1"] * 2
    assert outcome(tmp_path)["best"] is None
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mobilenet-toy-city")
    statuses = [
        run.info.status for run in client.search_runs([experiment.experiment_id], "tags.verdict = 'failed'")
    ]
    assert statuses == ["FAILED", "FAILED"]


def test_what_only_the_user_can_mend_is_one_line_and_exit_code_2(local_ray, tmp_path, capsys):
    assert main(command(tmp_path, "--trials", "2", "--trainer", "pid_trainer:Refusing")) == 2
    assert capsys.readouterr().err == "error: weights.zip: is gone; fetch it again\n"
    assert [trial["state"] for trial in outcome(tmp_path)["trials"]] == ["interrupted"]


def test_an_audit_trains_stopped_trials_to_their_end_and_changes_no_verdict(local_ray, tmp_path, capsys):
    assert main(command(tmp_path, "--trials", "6")) == 0
    before = outcome(tmp_path)
    stopped = [trial["trial"] for trial in before["trials"] if trial["state"] == "pruned"]
    audit = ["mobilenet-toy-city", "--studies-dir", str(tmp_path), "--trainer", TRAINER, "--audit", "2"]
    assert ledger.main([*audit, "--format", "json"]) == 0
    said = capsys.readouterr().out
    found = json.loads(said[said.index("{") :])
    audited = {entry["trial"]: entry["audited"] for entry in found["entries"] if entry["audited"] is not None}
    assert len(audited) == 2
    assert set(audited) < set(stopped)
    for number, mean in audited.items():
        recipe = build(before["trials"][number]["recipe"])
        assert mean == CurveTrainer.mean_ap(recipe, 90)
    assert ledger.main([*audit, "--data", str(tmp_path / "elsewhere")]) == 2
    assert main(command(tmp_path, "--trials", "6")) == 0
    assert outcome(tmp_path)["trials"] == before["trials"]


def test_a_search_runs_on_a_cluster_that_is_there_already(local_ray, tmp_path):
    import ray

    address = ray.get_runtime_context().gcs_address
    line = [sys.executable, "-m", "tuning.run", *command(tmp_path, "--trials", "2", "--cpus-per-trial", "1")]
    line += ["--workers", "max"]
    # the cluster's processes are sent the packages; the test's trainer they have by their PYTHONPATH
    done = subprocess.run(
        [*line, "--address", address], cwd=ROOT, env=joining() | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(outcome(tmp_path)["trials"]) == 2


def test_a_cluster_that_is_not_there_or_too_small_is_one_line(local_ray, tmp_path):
    import ray

    address = ray.get_runtime_context().gcs_address
    line = [sys.executable, "-m", "tuning.run", *command(tmp_path, "--trials", "2"), "--address", address]
    done = subprocess.run(
        [*line, "--gpus-per-trial", "1"], cwd=ROOT, env=joining(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --gpus-per-trial 1: no machine has so many GPUs (127.0.0.1: ")
    assert done.stderr.endswith("); give a smaller --gpus-per-trial\n")
    assert done.stderr.count("\n") == 1
