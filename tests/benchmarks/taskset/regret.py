"""Normalised regret of searches on Taskset's tasks after 5, 10 and 20 full trainings: this one and others, side by side.

    .venv/bin/python tests/benchmarks/taskset/regret.py --seeds 30
    .venv/bin/python tests/benchmarks/taskset/regret.py --seeds 30 --others ../taskset-env

Every arm searches the same tables under the same simulated clock, one and eight trials at once. What it has found is the
smallest final loss of a trial that took all its steps; the regret is 0 for the best recipe of the table and 1 for what a
typical recipe has after its first evaluation. Ranks are among all arms, by task and seed. Intervals are 95%, over seeds,
for these tasks.

--others: an environment for the packages that this project does not need (requirements.txt), made if it is not there;
without it those arms are left out. With --runs a benchmark that was ended goes on; give another file for another commit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tasks
from arms import ARMS, ELSEWHERE
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata
from scipy.stats import t as student

HERE = Path(__file__).parent
OUT = HERE.parent / "results" / "regret.json"
BUDGETS = (5, 10, 20)  # full trainings
Run = dict[str, Any]  # a line of arms.py
# arm, workers, task, seed -> a regret for each of BUDGETS
Regrets = dict[tuple[str, int], dict[tuple[str, int], list[float]]]


def environment(folder: Path) -> Path:
    """The Python of the environment of the other packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "-r", str(HERE / "requirements.txt")]
        subprocess.run([str(python), *install], check=True)
    return python


def kept(path: Path) -> list[Run]:
    """The searches that were run before."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_missing(arms: Sequence[str], chosen: argparse.Namespace, names: Sequence[str]) -> None:
    """Run what is not in --runs yet, one search after another."""
    known = {(run["arm"], run["workers"], run["task"], run["seed"]) for run in kept(chosen.runs)}
    others = environment(chosen.others) if chosen.others else Path(sys.executable)
    chosen.runs.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(chosen.seeds):  # all arms of a seed together, so that an early end leaves whole seeds
        for arm in arms:
            for workers in chosen.workers:
                missing = [name for name in names if (arm, workers, name, seed) not in known]
                if not missing:
                    continue
                python = others if ARMS[arm] in ELSEWHERE else Path(sys.executable)
                words = ["--data", chosen.data, "--tasks", *missing, "--seeds", seed, "--workers", workers]
                command = [python, HERE / "arms.py", arm, *words]
                with chosen.runs.open("a") as lines:
                    subprocess.run([str(word) for word in command], check=True, stdout=lines)
                print(f"seed {seed}: {arm}, {workers} at once", file=sys.stderr, flush=True)


def regrets(runs: Sequence[Run], all_tasks: dict[str, tasks.TuningTask]) -> Regrets:
    """By arm and number of workers, then by task and seed."""
    found: Regrets = {}
    for run in runs:
        task = all_tasks[run["task"]]
        rows = []
        for budget in BUDGETS:
            ends = [loss for taken, loss in run["completed"] if taken <= budget * task.length]
            rows.append(task.regret(min(ends)) if ends else 1.0)
        found.setdefault((run["arm"], run["workers"]), {})[run["task"], run["seed"]] = rows
    return found


def interval(values: np.ndarray) -> list[float]:
    """Mean of (S, T) values, of S seeds on T tasks, and the half-width of its 95% interval for these tasks.

    Searches on different tasks are independent, also under one seed: the variance is the mean's of T strata.
    """
    seeds, count = values.shape
    if seeds == 1:
        return [round(float(values.mean()), 4), 0.0]
    error = np.sqrt((values.var(axis=0, ddof=1) / seeds).sum()) / count
    half = student.ppf(0.975, count * (seeds - 1)) * error
    return [round(float(values.mean()), 4), round(float(half), 4)]


def summary(
    found: Regrets, arms: Sequence[str], names: Sequence[str], seeds: int, workers: int
) -> dict[str, Any]:
    """For each arm and budget: regret, mean rank, by how much the regret exceeds the first arm's, and regret by task."""
    values = np.array([[[found[arm, workers][n, s] for n in names] for s in range(seeds)] for arm in arms])
    ranks = rankdata(values, axis=0)  # (arms, seeds, tasks, budgets)
    rows = {}
    for arm, own, rank in zip(arms, values, ranks, strict=True):
        rows[arm] = {
            str(budget): {
                "regret": interval(own[:, :, at]),
                "rank": interval(rank[:, :, at]),
                "more than the first arm": interval((own - values[0])[:, :, at]),
                "by task": {n: interval(own[:, [place], at]) for place, n in enumerate(names)},
            }
            for at, budget in enumerate(BUDGETS)
        }
    return rows


def shown(title: str, rows: dict[str, Any]) -> Table:
    """As a person reads it."""
    columns = [f"{what} {budget}" for what in ("regret", "rank") for budget in BUDGETS]
    made = Table("", *columns, title=title)
    for arm, row in rows.items():
        cells = [row[str(budget)][what] for what in ("regret", "rank") for budget in BUDGETS]
        made.add_row(arm, *(f"{mean:.3f} ± {half:.3f}" if at < 3 else f"{mean:.1f} ± {half:.1f}"
                            for at, (mean, half) in enumerate(cells)))  # fmt: skip
    return made


def main() -> None:
    """Run what is missing, print the tables and write the JSON."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--seeds", type=int, default=30)
    line.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    line.add_argument("--arms", nargs="+", choices=ARMS, metavar="NAME", help=", ".join(ARMS))
    line.add_argument("--data", type=Path, default=tasks.DATA, help="taskset.npz")
    line.add_argument("--others", type=Path, metavar="FOLDER", help="environment of the other packages")
    line.add_argument("--runs", type=Path, metavar="FILE", help="keep the searches there, and run none twice")
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    if not chosen.data.exists():
        raise SystemExit(f"{chosen.data}: the tasks are not here; give --data")
    all_tasks = tasks.read(chosen.data)
    scratch = tempfile.TemporaryDirectory()
    chosen.runs = chosen.runs or Path(scratch.name) / "runs.jsonl"
    arms = chosen.arms or [arm for arm, module in ARMS.items() if chosen.others or module != "elsewhere"]
    run_missing(arms, chosen, list(all_tasks))
    runs = [run for run in kept(chosen.runs) if run["arm"] in arms and run["seed"] < chosen.seeds]
    found, console = regrets(runs, all_tasks), Console(width=140)
    result: dict[str, Any] = {"seeds": chosen.seeds, "budgets in trainings": BUDGETS}
    for workers in chosen.workers:
        rows = summary(found, arms, list(all_tasks), chosen.seeds, workers)
        title = f"{len(all_tasks)} tasks, {chosen.seeds} seeds, {workers} at once; after so many trainings"
        console.print(shown(title, rows))
        result[f"{workers} at once"] = rows
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
