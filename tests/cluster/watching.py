"""What a search on the cluster says, trains, stores and logs."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from nodes import Node

from trainers import recipe as recipes

TRAINED = "trained.jsonl"  # in each machine's /tmp: what its workers trained (CurveTrainer)
ENDED = ("completed", "pruned", "failed")


def command(cluster: Any, study: str, *more: str, database: bool = True, steps: int = 300) -> list[str]:
    """A search of trials whose curves are formulas, at ten steps a second.

    database: whether Optuna keeps the trials in PostgreSQL, or in a journal that is uploaded to S3.
    """
    storage = ["--storage", cluster.database.address] if database else []
    return [
        sys.executable, "-m", "tuning.run", "--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer",
        "--study", study, "--max-steps", str(steps), "--cpus-per-trial", "1", "--workers", "4",
        "--address", f"{cluster.head.address}:6379", "--studies-dir", cluster.uri, *storage,
        "--tracking-uri", cluster.mlflow, *more,
    ]  # fmt: skip


class Note(NamedTuple):
    """A chunk that a worker has trained (CurveTrainer). began: the time."""

    recipe_id: str
    first: int
    last: int
    seconds: float
    began: float


class Driver:
    """A search's command on a machine, and its lines as they come; started again, it adds to them.

    lines: each with the time at which it was seen.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._log.touch()
        self.lines: list[tuple[float, str]] = []
        self.process: Any = None
        threading.Thread(target=self._follow, daemon=True).start()

    def start(self, machine: Node, line: list[str]) -> Driver:
        """Returns self."""
        self.process = machine.popen(*line, log=self._log)
        return self

    def _follow(self) -> None:
        with self._log.open(encoding="utf-8", errors="replace") as log:
            part = ""
            while True:
                part += log.read()
                *whole, part = part.split("\n")
                self.lines += [(time.time(), line) for line in whole]
                time.sleep(0.05)

    @property
    def said(self) -> str:
        """All lines."""
        return "\n".join(line for _, line in self.lines)

    def wait_for(self, pattern: str, seconds: float = 500.0, after: int = 0) -> re.Match[str]:
        """The first match in a line from number `after` on. Fails when the command ends before, or after a while."""
        until, looked = time.monotonic() + seconds, after
        while True:
            over = self.process.poll() is not None
            if over:
                time.sleep(0.5)  # until its last lines are seen
            while looked < len(self.lines):
                if found := re.search(pattern, self.lines[looked][1]):
                    return found
                looked += 1
            assert not over, f"it ended without {pattern}:\n{self.said}"
            assert time.monotonic() < until, f"no {pattern}:\n{self.said}"
            time.sleep(0.1)

    def ended(self, seconds: float = 900.0) -> int:
        """Wait for its end; returns the exit code, when all of its lines are seen."""
        code: int = self.process.wait(seconds)
        time.sleep(0.5)
        return code

    def training(self) -> dict[int, int]:
        """The last rung of each trial that trains now, 0 before the first."""
        found: dict[int, int] = {}
        for _, line in list(self.lines):
            if (match := re.match(r"trial (\d+) (.*)", line)) is None:
                continue
            number, text = int(match[1]), match[2]
            if text.startswith(("starts", "resumes")):
                found[number] = int(step[1]) if (step := re.match(r"resumes from step (\d+)", text)) else 0
            elif rung := re.match(r"step (\d+):", text):
                found[number] = int(rung[1])
                if "waits for promotion" in text:
                    del found[number]
            elif text.startswith((*ENDED, "interrupted")):
                found.pop(number, None)
        return found


def summary(cluster: Any, study: str) -> dict[str, Any]:
    """The study's summary.json in the store."""
    key = f"cluster/{study}/summary.json"
    found: dict[str, Any] = json.loads(cluster.s3.get_object(Bucket="studies", Key=key)["Body"].read())
    return found


def ended_trials(cluster: Any, study: str) -> dict[int, dict[str, Any]]:
    """Those with a final verdict, by number."""
    trials = summary(cluster, study)["trials"]
    return {trial["trial"]: trial for trial in trials if trial["state"] in ENDED}


def keys(cluster: Any, study: str) -> set[str]:
    """The study's objects in the store."""
    prefix = f"cluster/{study}/"
    pages = cluster.s3.get_paginator("list_objects_v2").paginate(Bucket="studies", Prefix=prefix)
    return {entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])}


def on_disk(machine: Node, study: str) -> set[int]:
    """The trials that have been begun on a machine, by its own disk."""
    files = machine.cache.glob(f"detector-tuning/studies/*/{study}/trials/*/recipe.yaml")
    return {int(file.parent.name) for file in files if file.parent.name.isdigit()}


def recipe_on(machine: Node, study: str, trial: int) -> str:
    """The recipe_id of a trial whose folder is on a machine's disk."""
    (path,) = machine.cache.glob(f"detector-tuning/studies/*/{study}/trials/{trial}/recipe.yaml")
    return recipes.read(path).recipe_id


def trained(machines: list[Node], since: float = 0.0, recipe_id: str = "") -> list[Note]:
    """What the workers on these machines trained, in order of the time when each chunk began, from `since` on.

    recipe_id: of the trial; "" for all.
    """
    notes = []
    for machine in machines:
        path = machine.disk / "tmp" / TRAINED
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            with suppress(ValueError):  # the machine was killed in the middle of the line
                notes.append(Note(*json.loads(line)))
    mine = [note for note in notes if note.began >= since and recipe_id in ("", note.recipe_id)]
    return sorted(mine, key=lambda note: note.began)


def wait_for_steps(driver: Driver, machines: list[Node], since: float, recipe_id: str = "") -> Note:
    """The first chunk on these machines that began after `since`, as `trained` finds it."""
    while not (notes := trained(machines, since, recipe_id)):
        assert driver.process.poll() is None, driver.said
        time.sleep(0.1)
    return notes[0]


def runs(cluster: Any, study: str) -> Counter[str]:
    """How many runs MLflow has of each trial, by the trial's number, and of the study, by ""."""
    client = MlflowClient(cluster.mlflow)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    page, found = None, []
    while page is None or page.token:
        page = client.search_runs([experiment.experiment_id], page_token=page.token if page else None)
        found += page
    return Counter(run.data.tags.get("tuning.trial", "") for run in found)


def check_mlflow_has_each_trial_once(cluster: Any, study: str) -> None:
    """Fails where a trial has no run, or two."""
    numbers = [str(trial["trial"]) for trial in summary(cluster, study)["trials"]]
    assert runs(cluster, study) == Counter(["", *numbers])
