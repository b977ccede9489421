"""Random faults on three machines that share no disk: no trial is lost, none is counted twice, none begins anew unsaid.

FAULTS=40 makes as many; each takes about half a minute.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import faults
import pytest

pytestmark = pytest.mark.long
FAULTS = int(os.environ.get("FAULTS", "6"))
SEED = int(os.environ.get("SEED", "1"))
STUDY = "faults"
WAIT_SECONDS = 300.0  # until the search has gone on after a fault


class Search:
    """The command, started again and again with one log."""

    def __init__(self, cluster, log: Path) -> None:
        self._cluster, self.log = cluster, log
        self.process = None

    def start(self, trials: int) -> None:
        line = [
            sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer",
            "--max-steps", "300", "--cpus-per-trial", "1", "--workers", "4", "--study", STUDY,
            "--studies-dir", self._cluster.uri, "--address", f"{self._cluster.head.address}:6379",
            "--trials", str(trials),
        ]  # fmt: skip
        self.process = self._cluster.head.popen(*line, log=self.log)

    def steps(self) -> int:
        """How many rungs it has printed."""
        return len(re.findall(r"^trial \d+ step \d+:", self.log.read_text(), re.MULTILINE))

    def wait_for_a_rung(self) -> float:
        """Seconds until another rung is reached."""
        before, began = self.steps(), time.monotonic()
        while self.steps() == before:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - began < WAIT_SECONDS, self.log.read_text()
            time.sleep(0.2)
        return time.monotonic() - began


def summary(cluster) -> dict:
    return json.loads(
        cluster.s3.get_object(Bucket="studies", Key=f"cluster/{STUDY}/summary.json")["Body"].read()
    )


def test_no_fault_loses_a_trial_counts_one_twice_or_starts_one_anew_unsaid(cluster, tmp_path):
    rng = random.Random(SEED)
    search = Search(cluster, tmp_path / "driver.log")
    search.start(100_000)  # it never ends by itself
    search.wait_for_a_rung()
    made: Counter[str] = Counter()
    while made.total() < FAULTS:
        fault = rng.choice((*faults.SURVIVED, *faults.FATAL))
        began = time.monotonic()
        fault(cluster, rng.choice(cluster.workers))
        made[fault.__name__] += 1
        if fault in faults.FATAL:
            search.process.wait(60)
            search.start(100_000)
        took = time.monotonic() - began
        seconds = search.wait_for_a_rung()
        print(f"fault {made.total()}: {fault.__name__}, {took:.0f} s; the next rung {seconds:.1f} s later")
        time.sleep(rng.uniform(0, 5))
    search.process.send_signal(signal.SIGINT)
    assert search.process.wait(120) == 130, search.log.read_text()
    ended = [trial for trial in summary(cluster)["trials"] if trial["state"] != "interrupted"]

    search.start(len(ended) + 4)
    assert search.process.wait(500) == 0, search.log.read_text()
    found = summary(cluster)["trials"]
    print(f"{dict(made)}: {len(found)} trials, {Counter(trial['state'] for trial in found)}")
    assert [trial["trial"] for trial in found] == list(range(len(found)))
    assert {trial["state"] for trial in found} <= {"completed", "pruned"}
    before = {trial["trial"]: trial for trial in ended}
    assert {number: found[number] for number in before} == before
    for trial in found:
        steps = [rung["step"] for rung in trial["rungs"]]
        assert steps == sorted(set(steps))
    said = search.log.read_text()
    for number, step in re.findall(r"trial (\d+): .*trains again from step (\d+)", said):
        print(f"trial {number} trained again from step {step}, and said so")
