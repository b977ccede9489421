"""Kills parts of real searches by SIGKILL at random moments, begins the same command again, and counts what was lost.

    .venv/bin/python tests/benchmarks/durability.py --kills 30

Each victim is the driver, one of two workers, MLflow's writer, or one of Ray's own processes (raylet, GCS server,
agents). The searches are real, on Ray, Optuna's journal and MLflow on SQLite; only the trainer is a formula, so that
trials take seconds, and its checkpoints come every second. The workers note what they train: the study's spending is
compared with the sum of their notes. The file of results keeps a list, to which each run of the benchmark adds its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).parent / "results" / "durability.json"
STUDY = "mobilenet-toy-city"
# what the victims' command lines hold
VICTIMS = {
    "driver": "tuning.run",
    "worker": "ray::_Inner",  # TrialWorker, as Ray calls it once it has parameters
    "raylet": "raylet/raylet",
    "GCS server": "gcs_server",
    "agent": "agent",
    "MLflow writer": "tuning.tracking.writer_process",
}
FINAL = ("completed", "pruned", "failed")
NOTES = "trained.jsonl"  # what the workers trained, a line for each chunk


class Run:
    """One start of the command; `heard` is set when its first trial has begun."""

    def __init__(self, studies: Path, trials: int) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "tuning")])
        words = [
            "--space",
            "mobilenet",
            "--studies-dir",
            str(studies),
            "--trainer",
            "curve_trainer:CurveTrainer",
        ]
        words += ["--max-steps", "90", "--trials", str(trials), "--workers", "2", "--cpus-per-trial", "1"]
        words += ["--save-every", "1s"]
        trouble = {"pace": 0.03, "log": str(studies / NOTES)}
        self.lines: list[str] = []
        self.heard = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tuning.run", *words], cwd=studies, text=True,
            env=os.environ | {"PYTHONPATH": paths, "CURVE_TROUBLE": json.dumps(trouble)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("trial ") or "best  " in line:
                self.heard.set()
        self.heard.set()

    def victims(self, kind: str) -> list[psutil.Process]:
        """The living processes of this run of that kind."""
        if kind == "driver":
            return [psutil.Process(self.process.pid)] if self.process.poll() is None else []
        found = []
        with suppress(psutil.NoSuchProcess):  # it may end meanwhile
            for child in psutil.Process(self.process.pid).children(recursive=True):
                if VICTIMS[kind] in " ".join(child.cmdline()):
                    found.append(child)
        return found


def verdicts(studies: Path) -> dict[int, tuple[str, str, float | None]]:
    """The final verdicts as anyone reads them from the journal: by trial, its state, its reason and its value."""
    from tuning.study import reading

    try:
        found = reading.read(STUDY, studies)
    except Exception:  # noqa: BLE001 - it is not begun yet
        return {}
    values = {trial.number: trial.value for trial in found.trials}
    return {
        record.number: (record.state, record.verdict.reason, values[record.number])
        for record in found.records
        if record.verdict is not None and record.state in FINAL
    }


def tells(studies: Path) -> tuple[int, int]:
    """How many verdicts and how many rungs the journal was told more than once."""
    ended: Counter[int] = Counter()
    rungs: Counter[tuple[int, int]] = Counter()
    for line in (studies / STUDY / "optuna.journal").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["op_code"] == 6 and entry["state"] in (1, 2, 3):  # a trial's state; complete, pruned, failed
            ended[entry["trial_id"]] += 1
        if entry["op_code"] == 7:  # an intermediate value
            rungs[entry["trial_id"], entry["step"]] += 1
    return sum(count - 1 for count in ended.values()), sum(count - 1 for count in rungs.values())


def logged(studies: Path) -> dict[str, int]:
    """What MLflow holds twice, or not at all."""
    client = MlflowClient(f"sqlite:///{studies / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(STUDY)
    page, runs = None, []
    while page is None or page.token:
        page = client.search_runs([experiment.experiment_id], page_token=page.token if page else None)
        runs += page
    names = Counter(run.data.tags.get("tuning.trial", "the study") for run in runs)
    points = 0
    for run in runs:
        for key in ("mAP", "training_loss/total"):
            steps = Counter(point.step for point in client.get_metric_history(run.info.run_id, key))
            points += sum(count - 1 for count in steps.values())
    return {
        "MLflow runs": len(runs),
        "duplicated MLflow runs": sum(count - 1 for count in names.values()),
        "duplicated MLflow points": points,
        "trials without an MLflow run": len(
            verdicts(studies).keys() - {int(n) for n in names if n.isdigit()}
        ),
    }


def spending(studies: Path) -> dict[str, Any]:
    """What was spent by the study and by the workers' notes, and how much of it was trained more than once."""
    from tuning.study import reading

    trials = [record.spent for record in reading.read(STUDY, studies).records]
    noted = [json.loads(line) for line in (studies / NOTES).read_text(encoding="utf-8").splitlines()]
    times = Counter((recipe, step) for recipe, first, last, *_ in noted for step in range(first, last + 1))
    again: Counter[str] = Counter()
    for (recipe, _), count in times.items():
        again[recipe] += count - 1
    training, training_noted = sum(one.training for one in trials), sum(note[3] for note in noted)
    return {
        "steps by the study / noted": f"{sum(one.steps for one in trials)} / {sum(times.values())}",
        "training seconds by the study / noted": f"{training:.0f} / {training_noted:.0f}",
        "steps trained more than once": sum(again.values()),
        "most of one trial": max(again.values(), default=0),
    }  # fmt: skip


def _ending(run: Run) -> str:
    """How a start of the command ended: killed, or by itself with its exit code and the last thing that it said."""
    code = run.process.wait()
    if code == -signal.SIGKILL:
        return "killed"
    return f"exit code {code}: {run.lines[-1] if run.lines else 'silent'}"


def torment(studies: Path, kills: int, seed: int, minutes: float, victims: Sequence[str]) -> dict[str, Any]:
    """Kill until `kills` are done or so many minutes have gone by, then let the study end."""
    draw = random.Random(seed)
    done: Counter[str] = Counter()
    alone: Counter[str] = Counter()  # kills after which the driver went on by itself
    endings: Counter[str] = Counter()
    lost: set[int] = set()
    known: dict[int, tuple[str, str, float | None]] = {}
    starts, trials = 0, 10
    until = time.monotonic() + 60 * minutes

    def compare() -> None:
        now = verdicts(studies)
        lost.update(number for number, verdict in known.items() if now.get(number) != verdict)
        known.update(now)

    while sum(done.values()) < kills and time.monotonic() < until:
        run = Run(studies, trials)
        starts += 1
        run.heard.wait(300)
        while run.process.poll() is None and sum(done.values()) < kills:
            time.sleep(draw.uniform(0, 4))
            kind = draw.choice(victims)
            there = run.victims(kind)
            if not there:
                continue
            before = len(run.lines)
            draw.choice(there).kill()
            done[kind] += 1
            deadline = time.monotonic() + 120
            while run.process.poll() is None and len(run.lines) == before and time.monotonic() < deadline:
                time.sleep(0.2)
            if any(line.startswith("error:") for line in run.lines[before:]):
                run.process.wait(30)  # said why, and is just leaving
            if run.process.poll() is None and len(run.lines) > before:
                alone[kind] += 1
            print(f"kill {sum(done.values())}: {kind}; driver {run.process.poll()}; {len(known)} trials have ended",
                  flush=True)  # fmt: skip
            compare()
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGKILL)
        endings[_ending(run)] += 1
        compare()
        if len(known) >= trials - 2:
            trials += 10
    run = Run(studies, trials)
    code = run.process.wait()
    compare()
    numbers = sorted(known)
    verdict_twice, rung_twice = tells(studies)
    return {
        "kills": dict(done), "driver went on by itself": dict(alone), "starts": starts + 1,
        "they ended": dict(endings), "last exit code": code,
        "trials": len(known), "trials missing": len(set(range(trials)) - set(numbers)),
        "finished trials lost or changed": len(lost), "duplicated verdicts": verdict_twice,
        "duplicated rungs": rung_twice, "states": dict(Counter(state for state, *_ in known.values())),
    } | spending(studies) | logged(studies)  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--kills", type=int, default=30)
    line.add_argument("--seed", type=int, default=0)
    line.add_argument("--victims", nargs="+", choices=VICTIMS, default=list(VICTIMS))
    line.add_argument("--minutes", type=float, default=60, help="no kill after so many")
    line.add_argument("--studies", type=Path, help="keep the studies there")
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    sys.path.insert(0, str(ROOT))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        result = torment(
            chosen.studies or Path(name), chosen.kills, chosen.seed, chosen.minutes, chosen.victims
        )
    result["minutes"] = round((time.monotonic() - began) / 60, 1)
    shown = Table("", "count", title="SIGKILL at random moments")
    for name, value in result.items():
        shown.add_row(name, str(value))
    Console(width=120).print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    earlier = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    chosen.out.write_text(json.dumps([*earlier, result], indent=1) + "\n")


if __name__ == "__main__":
    main()
