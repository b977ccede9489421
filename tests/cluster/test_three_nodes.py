"""A search on three machines that share no disk: it runs, loses a machine, and is extended from another one."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
STUDY = "mobilenet-toy-city"


def search(cluster, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer",
        "--max-steps", "90", "--cpus-per-trial", "1", "--workers", "4", "--studies-dir", cluster.uri,
        "--address", f"{cluster.head.address}:6379", *more,
    ]  # fmt: skip


def summary(cluster) -> dict:
    return json.loads(
        cluster.s3.get_object(Bucket="studies", Key=f"cluster/{STUDY}/summary.json")["Body"].read()
    )


def keys(cluster) -> set[str]:
    pages = cluster.s3.get_paginator("list_objects_v2").paginate(Bucket="studies", Prefix=f"cluster/{STUDY}/")
    return {
        entry["Key"].removeprefix(f"cluster/{STUDY}/") for page in pages for entry in page.get("Contents", [])
    }


def test_each_node_sees_only_its_own_disk(cluster):
    for node in (cluster.head, *cluster.workers):
        node.run("sh", "-c", f"echo {node.name} > /root/mine; echo {node.name} > /tmp/mine")
    for node in (cluster.head, *cluster.workers):
        assert node.run("cat", "/root/mine", "/tmp/mine").stdout.split() == [node.name] * 2


def test_a_search_loses_a_machine_and_goes_on_from_its_checkpoints(cluster, tmp_path):
    log = Path(tmp_path) / "driver.log"
    driver = cluster.head.popen(*search(cluster, "--trials", "6"), log=log)
    until = time.monotonic() + 400
    while not any("checkpoint-" in key for key in keys(cluster)) and time.monotonic() < until:
        assert driver.poll() is None, log.read_text()
        time.sleep(0.5)
    cluster.workers[1].kill()
    killed = time.monotonic()
    while "goes on from step" not in log.read_text() and driver.poll() is None:
        time.sleep(0.2)
    print(f"lost node: its first trial trains again after {time.monotonic() - killed:.1f} s")
    assert driver.wait(500) == 0, log.read_text()
    said = log.read_text()
    print(said)
    found = summary(cluster)
    assert len(found["trials"]) == 6
    assert {trial["state"] for trial in found["trials"]} <= {"completed", "pruned"}
    assert "uploading the data to s3://studies/cluster/data/" in said
    assert f"its machine was lost ({cluster.workers[1].address})" in said
    assert "its worker process died" not in said
    assert "trains again from step 0" not in said
    best = found["best"]["trial"]
    assert f"trials/{best}/checkpoint-90.json" in keys(cluster)
    cluster.workers[1].start_ray(cluster.head.address, 2)


def test_it_is_extended_from_another_machine_after_the_heads_disk_is_lost(cluster):
    before = summary(cluster)
    cluster.head.run("sh", "-c", "rm -rf /root/.cache/detector-tuning/studies")
    done = cluster.workers[0].run(*search(cluster, "--trials", "8"), check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    found = summary(cluster)
    assert found["trials"][:6] == before["trials"]
    assert len(found["trials"]) == 8
    assert "its checkpoint is gone" not in done.stdout


def test_a_machine_that_is_about_to_go_saves_first(cluster, tmp_path):
    log = Path(tmp_path) / "driver.log"
    driver = cluster.head.popen(
        *search(cluster, "--study", "drained", "--trials", "8", "--max-steps", "300"), log=log
    )
    leaving = cluster.workers[1]
    until = time.monotonic() + 400
    while " step 34:" not in (log.read_text() if log.exists() else ""):
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < until
        time.sleep(0.5)
    address = f"{cluster.head.address}:6379"
    found = leaving.run(  # as a spot machine's own watch would
        "env", f"RAY_ADDRESS={address}", sys.executable, "-m", "ray.scripts.scripts", "drain-node",
        "--address", address, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot",
        "--deadline-remaining-seconds", "60", check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert driver.wait(500) == 0, log.read_text()
    said = log.read_text()
    assert f"its machine was lost ({leaving.address})" in said
    assert "trains again from step" not in said


def test_a_machine_whose_disk_is_full_is_left_out_and_the_search_goes_on(cluster, tmp_path):
    cluster.join(4, small=True, cpus=2)
    log = Path(tmp_path) / "driver.log"
    line = search(cluster, "--study", "full", "--trials", "6")
    driver = cluster.head.popen(*line, log=log)
    assert driver.wait(500) == 0, log.read_text()
    said = log.read_text()
    assert "is left out until it can be written" in said
    assert "its machine was lost (10.77.0.4)" in said
    assert said.count("is left out until") <= 4  # not again and again
