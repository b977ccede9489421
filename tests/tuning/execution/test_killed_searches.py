"""A search that is stopped, is killed or loses its Ray goes on with the same command; nothing is told twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parents[3]
STUDY = "mobilenet-toy-city"

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800), pytest.mark.usefixtures("furnished")]


def kill_raylet(driver: psutil.Popen) -> None:
    next(part for part in driver.children(recursive=True) if part.name() == "raylet").kill()


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., psutil.Popen]:
    """Starts the search, whose trainer takes `pace` seconds a step, from a folder that is not the project's."""
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parents[1])])
    line = [
        *(sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--studies-dir", str(tmp_path)),
        *("--trainer", "curve_trainer:CurveTrainer", "--max-steps", "90", "--trials", "2"),
    ]

    def started(pace: float, scheduler: str = "stop", workers: int = 1) -> psutil.Popen:
        environment = os.environ | {"PYTHONPATH": paths, "CURVE_TROUBLE": json.dumps({"pace": pace})}
        return psutil.Popen(
            [*line, "--scheduler", scheduler, "--workers", str(workers)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def ended(
    driver: psutil.Popen, when: str = "", how: Callable[[psutil.Popen], None] | None = None
) -> tuple[str, str]:
    """All that it printed. Once a line begins with `when`, `how` is done to it."""
    said = ""
    for line in driver.stdout if how else ():
        said += line
        if line.startswith(when):
            how(driver)
            break
    rest, wrong = driver.communicate()
    assert "Traceback" not in wrong
    return said + rest, wrong


def test_it_goes_on_after_ctrl_c_a_killed_driver_and_a_killed_ray(begin, tmp_path):
    stopped = begin(0.2, "full")
    said, _ = ended(stopped, "trial 0 step 30", lambda driver: driver.send_signal(signal.SIGINT))
    assert stopped.returncode == 130
    assert "stopped by Ctrl-C; finished work is kept" in said
    summary = json.loads((tmp_path / STUDY / "summary.json").read_text())
    assert [trial["state"] for trial in summary["trials"]] == ["interrupted"]

    killed = begin(0.2, "full")  # its worker trains on until Ray ends it
    said, _ = ended(killed, "trial 1 step 30", lambda driver: driver.kill())
    assert killed.returncode == -signal.SIGKILL
    assert int(re.search(r"trial 0 resumes from step (\d+)", said)[1]) >= 30
    assert "trial 0 step 30" not in said

    without_ray = begin(0.3, "full")
    said, wrong = ended(without_ray, "trial 1 resumes from step", kill_raylet)  # saved by its worker
    assert without_ray.returncode == 2
    assert (
        "error: Ray's own process raylet has died (out of memory, or killed); run the same command to resume"
        in wrong
    )

    last = begin(0.0, "full")
    said, _ = ended(last)
    assert last.returncode == 0
    assert not re.search(r"^trial 0 ", said, re.M)
    assert int(re.search(r"trial 1 resumes from step (\d+)", said)[1]) >= 30
    summary = json.loads((tmp_path / STUDY / "summary.json").read_text())
    assert [trial["trial"] for trial in summary["trials"]] == [0, 1]
    assert [rung["step"] for rung in summary["trials"][0]["rungs"]] == [30, 90]
    check_mlflow(tmp_path)


def test_what_waited_for_its_promotion_is_promoted_after_a_killed_driver(begin, tmp_path):
    killed = begin(0.02, "promote")
    ended(killed, "trial 1 step 30", lambda driver: driver.kill())

    last = begin(0.0, "promote")
    said, _ = ended(last)
    assert last.returncode == 0
    assert not re.search(r"trial \d step 30", said)  # they were measured before
    assert len(re.findall(r"trial \d resumes from step 30", said)) == 1
    summary = json.loads((tmp_path / STUDY / "summary.json").read_text())
    rungs = {trial["state"]: [rung["step"] for rung in trial["rungs"]] for trial in summary["trials"]}
    assert rungs == {"completed": [30, 90], "pruned": [30]}
    check_mlflow(tmp_path)


def check_mlflow(studies: Path) -> None:
    """One run for the study and one for each of its two trials; no step was told twice."""
    client = MlflowClient(f"sqlite:///{studies / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name(STUDY).experiment_id])
    assert sorted(run.data.tags.get("tuning.trial", "") for run in runs) == ["", "0", "1"]
    for run in runs:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "training_loss/total")]
        assert len(steps) == len(set(steps))


def test_a_worker_that_ray_ends_for_want_of_memory_ends_no_search(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")  # of the machine's: each worker is above it
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "7000")  # between its steps, and not as it begins
    short = begin(0.5, "full", workers=2)
    said, _ = ended(short)
    assert short.returncode == 1
    deaths = [
        said.count(f"trial {trial}: its worker process died (out of memory, or killed)\n") for trial in (0, 1)
    ]
    assert sorted(deaths) == [3, 4]  # the first one was no fault of the trial
    assert (
        said.count("the machine's memory was nearly full, so from now on at most 1 at a time; it waits") == 1
    )
    why = "its worker process was ended, as the machine's memory was nearly full; fewer --workers need less"
    assert f" failed: {why}" in said
