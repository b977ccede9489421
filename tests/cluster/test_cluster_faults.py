"""Random faults on three machines that share no disk: no trial is lost, none is counted twice, none begins anew unsaid.

FAULTS=40 makes as many; each takes about half a minute. SEED=2 draws others. FAULT=disk makes only that one.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter

import faults
import pytest
from watching import Driver, check_mlflow_has_each_trial_once, command, ended_trials, summary, trained

pytestmark = pytest.mark.long
FAULTS = int(os.environ.get("FAULTS", "6"))
SEED = int(os.environ.get("SEED", "1"))
ONLY = os.environ.get("FAULT")
STUDY, STEPS = "faults", 900
WAIT_SECONDS = 300.0  # until the search has gone on after a fault
UNTOLD_SECONDS = 5.0  # for which a worker trains on after its last message that reached the driver
RUNG = re.compile(r"trial (\d+) step (\d+):")


def wait_for_a_rung(driver: Driver, after: int) -> float:
    """Seconds until another rung is reached."""
    began = time.monotonic()
    driver.wait_for(RUNG.pattern, WAIT_SECONDS, after)
    return time.monotonic() - began


def restarts_from_0(driver: Driver, notes: list, recipe_ids: dict[int, str]) -> list[str]:
    """The trials that were trained from step 1 again after their first rung had been told, each with when."""
    told: dict[str, float] = {}
    for seen, line in driver.lines:
        if rung := RUNG.match(line):
            told.setdefault(recipe_ids[int(rung[1])], seen)
    return [
        f"{note.recipe_id} at {note.began}"
        for note in notes
        if note.first == 1 and note.began > told.get(note.recipe_id, float("inf"))
    ]


def test_no_fault_loses_a_trial_counts_one_twice_or_starts_one_anew_unsaid(cluster, tmp_path):
    rng = random.Random(SEED)
    driver = Driver(tmp_path / "driver.log")

    def start(trials: int) -> None:
        more = ("--trials", str(trials), "--save-every", "10s")
        driver.start(cluster.head, command(cluster, STUDY, *more, steps=STEPS))

    def compare() -> None:
        now = ended_trials(cluster, STUDY)
        changed.update(number for number, trial in known.items() if now.get(number) != trial)
        known.update(now)

    start(100_000)  # it never ends by itself
    wait_for_a_rung(driver, 0)
    made: Counter[str] = Counter()
    known: dict[int, dict] = {}
    changed: set[int] = set()
    while made.total() < FAULTS:
        fault = rng.choice((*faults.SURVIVED, *faults.FATAL))
        fault = getattr(faults, ONLY) if ONLY else fault
        node, began, lines = rng.choice(cluster.workers), time.monotonic(), len(driver.lines)
        fault(cluster, node, driver)
        made[fault.__name__] += 1
        if fault in faults.FATAL:
            driver.process.wait(60)
            start(100_000)
        else:
            assert driver.process.poll() is None, driver.said
        took = time.monotonic() - began
        seconds = wait_for_a_rung(driver, len(driver.lines))
        what = f"{fault.__name__} on {node.address}, {took:.0f} s"
        print(f"fault {made.total()}: {what}; the next rung {seconds:.1f} s later")
        for _, line in driver.lines[lines:]:
            if not RUNG.match(line):
                print(f"    {line}", flush=True)
        compare()
        time.sleep(rng.uniform(0, 5))
    driver.process.send_signal(signal.SIGINT)
    assert driver.ended(300) == 130, driver.said
    compare()

    start(len(known) + 4)
    assert driver.ended() == 0, driver.said
    compare()
    found = summary(cluster, STUDY)["trials"]
    recipe_ids = {trial["trial"]: trial["recipe_id"] for trial in found}
    notes = trained([cluster.head, *cluster.workers])
    restarted = restarts_from_0(driver, notes, recipe_ids)
    said = re.findall(r"trial \d+: .*trains again from step (\d+)", driver.said)
    spent, really = sum(trial["seconds_training"] for trial in found), sum(note.seconds for note in notes)
    steps = Counter((note.recipe_id, step) for note in notes for step in range(note.first, note.last + 1))
    again = steps.total() - len(steps)
    print(f"{dict(made)}: {len(found)} trials, {dict(Counter(trial['state'] for trial in found))}")
    print(
        f"trained {really:.0f} s, of which the study counts {spent:.0f} s; {again} of {steps.total()} steps twice"
    )
    print(f"{len(restarted)} trials trained again from 0 after a rung; {said.count('0')} said so")
    for line in (line for _, line in driver.lines if "trains again" in line):
        print(line)
    assert [trial["trial"] for trial in found] == list(range(len(found)))
    assert {trial["state"] for trial in found} <= {"completed", "pruned"}
    assert changed == set()
    for trial in found:
        reached = [rung["step"] for rung in trial["rungs"]]
        assert reached == sorted(set(reached))
    assert len(restarted) <= said.count("0"), restarted
    check_mlflow_has_each_trial_once(cluster, STUDY)
    assert 0.98 * really - UNTOLD_SECONDS <= spent <= 1.02 * really + UNTOLD_SECONDS
