"""Real detectors on three machines that share no disk: trained, resumed after one is lost, extended, exported."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

import pytest
from nodes import Node
from watching import Driver, check_mlflow_has_each_trial_once, keys, on_disk, summary

pytestmark = pytest.mark.long
CACHE = "2g"  # of each machine: checkpoints of 25 MB
STUDY, STEPS = "real", 60


def search(cluster: Any, trials: int) -> list[str]:
    """A search of MobileNets on the toy city, which is drawn by whoever begins it."""
    return [
        sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--study", STUDY, "--max-steps", str(STEPS),
        "--trials", str(trials), "--cpus-per-trial", "1", "--workers", "3", "--save-every", "20s",
        "--address", f"{cluster.head.address}:6379", "--studies-dir", cluster.uri,
        "--storage", cluster.database.address, "--tracking-uri", cluster.mlflow,
    ]  # fmt: skip


def trial_that_trains_only_on(machine: Node, others: list[Node], driver: Driver) -> int:
    """Wait for a trial that has reached a rung there and trains on; returns its number."""
    until = time.monotonic() + 600
    while True:
        elsewhere = set().union(*(on_disk(other, STUDY) for other in others))
        for trial, step in driver.training().items():
            if step and trial in on_disk(machine, STUDY) - elsewhere:
                return trial
        assert driver.process.poll() is None, driver.said
        assert time.monotonic() < until, driver.said
        time.sleep(0.1)


def test_a_search_of_real_detectors_runs_resumes_and_extends(cluster, tmp_path):
    lost, stays = cluster.workers
    began = time.monotonic()
    driver = Driver(tmp_path / "log").start(cluster.head, search(cluster, 4))
    trial = trial_that_trains_only_on(lost, [cluster.head, stays], driver)
    reached, seen = driver.training()[trial], len(driver.lines)
    lost.kill()
    resumed = driver.wait_for(rf"^trial {trial} resumes from step (\d+)", after=seen)
    assert int(resumed[1]) >= reached
    lost.start_ray(cluster.head.address, 2)
    assert driver.ended() == 0, driver.said
    print(driver.said)
    first = summary(cluster, STUDY)
    assert f"trial {trial}: its machine was lost ({lost.address})" in driver.said
    assert "trains again from step" not in driver.said
    assert {each["state"] for each in first["trials"]} <= {"completed", "pruned"}
    print(f"4 trials, one machine lost: {time.monotonic() - began:.0f} s")

    cluster.head.run("sh", "-c", "rm -rf /root/.cache/detector-tuning")
    done = stays.run(*search(cluster, 6), check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    found = summary(cluster, STUDY)
    assert len(found["trials"]) == 6
    ended = [each["trial"] for each in first["trials"] if each["state"] == "completed"]
    assert [found["trials"][number] for number in ended] == [first["trials"][number] for number in ended]
    check_mlflow_has_each_trial_once(cluster, STUDY)

    best = found["best"]["trial"]
    assert f"trials/{best}/checkpoint-{STEPS}.json" in keys(cluster, STUDY)
    made = lost.run(
        sys.executable, "-m", "tuning.promote", STUDY, "--studies-dir", cluster.uri, "--tracking-uri", cluster.mlflow,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    exported = next(
        iter(lost.cache.glob(f"detector-tuning/studies/*/{STUDY}/trials/{best}/export/manifest.json"))
    )
    manifest = json.loads(exported.read_text())
    assert manifest["classes"]
    assert re.search(r"champion", made.stdout)
