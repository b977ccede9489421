"""Real detectors on three machines that share no disk: trained, resumed after one is lost, extended, exported.

Ray's processes speak TLS there.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import time
from typing import Any

import pytest
from nodes import Node
from watching import Driver, check_mlflow_has_each_trial_once, keys, summary

pytestmark = pytest.mark.long
OPTIONS = {"cache": "2g", "head_cpus": 0, "tls": True}  # all trials train on the two others
STUDY, STEPS = "real", 60


def search(cluster: Any, trials: int) -> list[str]:
    """A search of MobileNets on the toy city, which is drawn by whoever begins it."""
    return [
        sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--study", STUDY, "--max-steps", str(STEPS),
        "--trials", str(trials), "--cpus-per-trial", "1", "--workers", "2", "--save-every", "20s",
        "--address", f"{cluster.head.address}:6379", "--studies-dir", cluster.uri,
        "--storage", cluster.database.address, "--tracking-uri", cluster.mlflow,
    ]  # fmt: skip


def trained_on(machine: Node, trial: int) -> float:
    """When the machine's copy of a trial changed last; 0 if it has none."""
    files = machine.cache.glob(f"detector-tuning/studies/*/{STUDY}/trials/{trial}/**/*")
    return max((file.stat().st_mtime for file in files), default=0.0)


def promoted_trial(driver: Driver, machines: list[Node]) -> tuple[int, Node]:
    """Wait for a trial that trains on beyond its first rung; returns its number, and the machine that trains it."""
    trial = int(driver.wait_for(r"^trial (\d+) resumes from step", 600)[1])
    seen, until = time.time(), time.monotonic() + 100
    while True:  # its worker notes there what each chunk of steps has cost
        newest = max(machines, key=lambda machine: trained_on(machine, trial))
        if trained_on(newest, trial) > seen:
            return trial, newest
        assert driver.process.poll() is None, driver.said
        assert time.monotonic() < until, driver.said
        time.sleep(0.1)


def heard(head: Node, with_certificate: bool) -> bytes:
    """The first byte that the head's Ray says; none where it closes the connection."""
    folder = head.disk / "root" / "tls"
    context = ssl.create_default_context(
        cafile=str(folder / "ca.crt")
    )  # the head's certificate is checked, too
    context.set_alpn_protocols(["h2"])
    if with_certificate:
        context.load_cert_chain(folder / "machine.crt", folder / "machine.key")
    with (
        socket.create_connection((head.address, 6379), 10) as plain,
        context.wrap_socket(plain, server_hostname=head.address) as wrapped,
    ):
        return wrapped.recv(1)


def test_a_search_of_real_detectors_runs_resumes_and_extends(cluster, driver):
    assert heard(cluster.head, with_certificate=True)
    assert not heard(cluster.head, with_certificate=False)
    began = time.monotonic()
    driver.start(cluster.head, search(cluster, 4))
    trial, lost = promoted_trial(driver, cluster.workers)
    (stays,) = [machine for machine in cluster.workers if machine is not lost]
    seen = len(driver.lines)
    assert driver.training()[trial] > 0
    lost.kill()
    driver.wait_for(rf"^trial {trial}: its machine was lost", after=seen)
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
