"""A search on three machines that share no disk: machines are lost, leave or are full, and it goes on.

Its trials are in PostgreSQL or in a journal, its files in S3, its runs on MLflow's server.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from nodes import Node
from watching import (
    Driver,
    check_mlflow_has_each_trial_once,
    command,
    keys,
    on_disk,
    recipe_on,
    summary,
    trained,
    wait_for_steps,
)

pytestmark = pytest.mark.long
STUDY = "extended"


def until_one_trains_on(machine, cluster, driver: Driver, study: str) -> int:
    """Wait for a trial that trains on this machine, beyond its second rung; returns its number."""
    until = time.monotonic() + 500
    while True:
        here = on_disk(machine, study)
        for trial, step in driver.training().items():
            if step >= 34 and trial in here:
                newest = trained([cluster.head, *cluster.workers], 0, recipe_on(machine, study, trial))[-1]
                if newest.first > step and newest in trained([machine]):  # else another machine may have it
                    return trial
        assert driver.process.poll() is None, driver.said
        assert time.monotonic() < until, driver.said
        time.sleep(0.1)


def test_each_node_sees_only_its_own_disk(cluster):
    for node in (cluster.head, *cluster.workers):
        node.run("sh", "-c", f"echo {node.name} > /root/.cache/mine; echo {node.name} > /tmp/mine")
    for node in (cluster.head, *cluster.workers):
        assert node.run("cat", "/root/.cache/mine", "/tmp/mine").stdout.split() == [node.name] * 2
    boots = {
        node.run("cat", "/proc/sys/kernel/random/boot_id").stdout for node in (cluster.head, *cluster.workers)
    }
    assert len(boots) == 3


def test_a_search_loses_a_machine_and_goes_on_from_its_checkpoints(cluster, driver):
    study, lost = "bereft", cluster.workers[1]
    driver.start(cluster.head, command(cluster, study, "--trials", "6"))
    trial = until_one_trains_on(lost, cluster, driver, study)
    recipe_id, killed = recipe_on(lost, study, trial), time.time()
    lost.kill()
    step = wait_for_steps(driver, [cluster.head, cluster.workers[0]], killed, recipe_id)
    print(
        f"lost node: its trial {trial} trains again after {step.began - killed:.1f} s, from step {step.first}"
    )
    assert driver.ended() == 0, driver.said
    print(driver.said)
    assert step.first > 34
    found = summary(cluster, study)
    assert len(found["trials"]) == 6
    assert {trial["state"] for trial in found["trials"]} <= {"completed", "pruned"}
    assert "uploading the data to s3://studies/cluster/data/" in driver.said
    assert f"trial {trial}: its machine was lost ({lost.address})" in driver.said
    assert "its worker process died" not in driver.said
    assert "trains again from step" not in driver.said
    assert f"trials/{found['best']['trial']}/checkpoint-300.json" in keys(cluster, study)
    check_mlflow_has_each_trial_once(cluster, study)
    lost.start_ray(cluster.head.address, 2)


@pytest.mark.parametrize("database", [True, False], ids=["database", "journal"])
def test_it_is_extended_from_another_machine_after_the_heads_disk_is_lost(cluster, database):
    study = f"{STUDY}-{database}".lower()

    def to(trials: int) -> list[str]:
        return command(cluster, study, "--trials", str(trials), steps=90, database=database)

    done = cluster.head.run(*to(4), check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    before = summary(cluster, study)
    assert len(before["trials"]) == 4
    cluster.head.run("sh", "-c", "rm -rf /root/.cache/detector-tuning/studies")
    done = cluster.workers[0].run(*to(6), check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    found = summary(cluster, study)
    assert found["trials"][:4] == before["trials"]
    assert len(found["trials"]) == 6
    assert "its checkpoint is gone" not in done.stdout
    check_mlflow_has_each_trial_once(cluster, study)


@pytest.fixture
def leaving(cluster) -> Iterator[Node]:
    """A new machine: of one that was lost and has come back, Ray's command may ask the raylet that was there before."""
    machine = cluster.join(5, 2, cluster.head.address)
    cluster.workers.append(machine)
    yield machine
    cluster.workers.remove(machine)
    machine.remove()


def test_a_machine_that_is_about_to_go_saves_first(cluster, driver, leaving):
    study, began = "drained", time.time()
    driver.start(cluster.head, command(cluster, study, "--trials", "1000", database=False))
    until_one_trains_on(leaving, cluster, driver, study)
    address = f"{cluster.head.address}:6379"
    found = leaving.run(  # as a spot machine's own watch would
        "env", f"RAY_ADDRESS={address}", sys.executable, "-m", "ray.scripts.scripts", "drain-node",
        "--address", address, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot",
        "--deadline-remaining-seconds", "60", check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    lost = driver.wait_for(rf"^trial (\d+): its machine was lost \({leaving.address}\)")
    seen = driver.said.split("\n").index(lost.string)
    driver.wait_for(rf"^trial {lost[1]} step \d+:", after=seen)
    driver.process.send_signal(signal.SIGINT)
    assert driver.ended() == 130, driver.said
    print(driver.said)
    assert "trains again from step" not in driver.said
    assert "its worker process died" not in driver.said
    notes = trained([cluster.head, *cluster.workers], began)
    steps = Counter((note.recipe_id, step) for note in notes for step in range(note.first, note.last + 1))
    assert max(steps.values()) == 1, "a step was trained twice: it had not been saved before the machine went"


def test_a_machine_whose_disk_is_full_is_left_out_and_the_search_goes_on(cluster, driver):
    study, full = "full", cluster.join(4, 2, cluster.head.address, cache="64k")
    driver.start(
        cluster.head, command(cluster, study, "--trials", "6", "--workers", "7", steps=90, database=False)
    )
    assert driver.ended() == 0, driver.said
    print(driver.said)
    assert "is left out until it can be written" in driver.said
    assert f"its machine was lost ({full.address})" in driver.said
    assert driver.said.count("is left out until") <= 4  # not again and again
    assert {trial["state"] for trial in summary(cluster, study)["trials"]} <= {"completed", "pruned"}
    full.remove()


def test_the_same_command_goes_on_elsewhere_after_the_head_is_lost_with_its_driver(cluster, driver):
    study, old, new, third = "beheaded", cluster.head, *cluster.workers
    driver.start(old, command(cluster, study, "--trials", "6"))
    trial = until_one_trains_on(third, cluster, driver, study)
    killed = time.time()
    old.kill()
    driver.process.wait(60)
    for machine in (new, third):  # as an autoscaler does, or `ray stop`: without its head, their Ray ends
        machine.kill()
    new.start_ray(None, 2)
    third.start_ray(new.address, 2)
    started, seen = time.time(), len(driver.lines)
    cluster.head = new
    driver.start(new, command(cluster, study, "--trials", "6"))
    first = wait_for_steps(driver, [new, third], started)
    print(
        f"lost head: the first step after {first.began - killed:.1f} s, of which {started - killed:.1f} s until Ray's "
        "new head and the other machine are there"
    )
    assert driver.wait_for(rf"^trial {trial} (resumes|starts)", after=seen)[1] == "resumes"
    assert driver.ended() == 0, driver.said
    print(driver.said)
    found = summary(cluster, study)
    assert len(found["trials"]) == 6
    assert {trial["state"] for trial in found["trials"]} <= {"completed", "pruned"}
    assert "trains again from step" not in driver.said
    check_mlflow_has_each_trial_once(cluster, study)
