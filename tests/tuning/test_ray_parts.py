from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from ray._private import worker

from trainers.errors import UserError
from tuning import ray_parts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def begun(monkeypatch):
    """Stands in for ray.init; its `outcomes` are what each attempt does."""
    outcomes: list[Exception | None] = []

    def init(**options):
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr("ray.init", init)
    return outcomes


def test_a_ray_that_timed_out_once_is_started_again(begun):
    begun += [Exception("The current node timed out during startup."), None]
    ray_parts.start(num_cpus=1)
    assert begun == []


def test_a_ray_that_does_not_start_is_one_line(begun):
    begun += [Exception("The current node\ntimed out"), Exception("The current node\ntimed out")]
    with pytest.raises(
        UserError, match=r"^Ray cannot be started on this machine: The current node timed out$"
    ):
        ray_parts.start(num_cpus=1)


@pytest.mark.parametrize(("kind", "ends"), [("raylet", True), ("gcs_server", True), ("log_monitor", False)])
def test_only_the_death_of_what_trials_need_ends_the_driver(monkeypatch, kind, ends):
    looked, died = threading.Event(), []

    def dead_processes():
        looked.set()
        return [(kind, None)]

    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(dead_processes=dead_processes))
    monkeypatch.setattr(ray_parts, "LOOK_SECONDS", 0.01)
    told = threading.Event()

    def note(which: str) -> None:
        died.append(which)
        told.set()

    with ray_parts.watched(note):
        assert looked.wait(30)
        if ends:
            assert told.wait(30)
    assert died == ([kind] if ends else [])


@pytest.mark.slow
def test_a_search_whose_ray_was_killed_says_so_and_goes_on_with_the_same_command(furnished, tmp_path):
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    words = ["--space", "mobilenet", "--max-steps", "90", "--trials", "2", "--studies-dir", str(tmp_path)]
    line = [sys.executable, "-m", "tuning.run", *words, "--trainer", "curve_trainer:CurveTrainer"]
    environment = os.environ | {"PYTHONPATH": paths, "CURVE_TROUBLE": json.dumps({"pace": 0.05})}
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        for said in driver.stdout:
            if said.startswith("trial 0 step 30"):
                parts = psutil.Process(driver.pid).children(recursive=True)
                next(part for part in parts if part.name() == "raylet").kill()
                break
        _, wrong = driver.communicate()
    assert driver.returncode == 2
    assert (
        "error: Ray's own process raylet has died (out of memory, or killed); the same command goes on"
        in wrong
    )
    assert "Traceback" not in wrong

    environment["CURVE_TROUBLE"] = "{}"
    again = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "trial 0 goes on from step 30" in again.stdout
    summary = json.loads((tmp_path / "mobilenet-toy-city" / "summary.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in summary["trials"]] == ["completed", "completed"]
