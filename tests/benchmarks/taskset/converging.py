"""What `--until-converged` saves and loses on Taskset's tasks: searches of 20 trainings that regret.py has kept.

    .venv/bin/python tests/benchmarks/taskset/regret.py --arms "this search" --workers 1 --seeds 5 --runs runs.jsonl
    .venv/bin/python tests/benchmarks/taskset/converging.py runs.jsonl

A training is worth a gain in regret (0 the best recipe, 1 what a typical one has after its first evaluation). For each:
when the rule ends the searches, the regret then, and what is lost in regret and cost: by the rule, by using up
the budget, and by the fixed length that is best for these searches, which nobody knows beforehand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import tasks
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[3]))

from tuning.search.limits.convergence import expected_gain

WORTHS = (0.002, 0.005, 0.01, 0.02, 0.04)
BUDGET, AHEAD = 20.0, 5.0  # trainings
Ends = list[tuple[float, float]]  # of the completed trials: trainings until then, regret


def read(path: Path, arm: str, data: Path) -> list[Ends]:
    """The searches of an arm, one trial at a time, that have completed any."""
    known, found = tasks.read(data), []
    for run in map(json.loads, path.read_text().splitlines()):
        task = known[run["task"]]
        if run["arm"] == arm and run["workers"] == 1 and run["completed"]:
            found.append([(taken / task.length, task.regret(loss)) for taken, loss in run["completed"]])
    return found


def stop(ends: Ends, worth: float) -> float:
    """Trainings after which the rule ends the search."""
    for count in range(1, len(ends) + 1):
        trainings = ends[count - 1][0]
        gain = expected_gain([-regret for _, regret in ends[:count]], trainings)
        if gain is not None and gain < worth:
            return trainings
    return BUDGET


def regret(ends: Ends, trainings: float) -> float:
    """After so many; 1 before a trial is completed."""
    return min((value for taken, value in ends if taken <= trainings), default=1.0)


def expectations(searches: list[Ends]) -> np.ndarray:
    """(N, 2): what the next training was expected to gain when a trial was completed, and what each of the next did."""
    found = []
    for ends in searches:
        for count, (trainings, _) in enumerate(ends, start=1):
            gain = expected_gain([-value for _, value in ends[:count]], trainings)
            if gain is not None and trainings <= BUDGET - AHEAD:
                gained = regret(ends, trainings) - regret(ends, trainings + AHEAD)
                found.append((gain, gained / AHEAD))
    return np.array(found)


def main() -> None:
    """Print the table."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("runs", type=Path, nargs="+", help="files of regret.py --runs")
    line.add_argument("--arm", default="this search")
    line.add_argument("--data", type=Path, default=tasks.DATA, help="taskset.npz")
    chosen = line.parse_args()
    searches = [ends for path in chosen.runs for ends in read(path, chosen.arm, chosen.data)]
    columns = (
        "worth of a training",
        "ended after",
        "regret",
        "lost by the rule",
        "by 20 trainings",
        "by the best length",
    )
    shown = Table(*columns, title=f"{len(searches)} searches: {chosen.arm}")
    for worth in WORTHS:
        stops = [stop(ends, worth) for ends in searches]
        found = [regret(ends, at) for ends, at in zip(searches, stops, strict=True)]
        lost = np.array(found) + worth * np.array(stops)
        lengths = np.arange(2, BUDGET + 1)
        fixed = [np.mean([regret(ends, at) for ends in searches]) + worth * at for at in lengths]
        error = 1.96 * lost.std(ddof=1) / np.sqrt(len(lost))
        best = f"{min(fixed):.3f} ({lengths[int(np.argmin(fixed))]:.0f})"
        cells = (
            f"{worth:g}",
            f"{np.mean(stops):.1f}",
            f"{np.mean(found):.3f}",
            f"{lost.mean():.3f} ± {error:.3f}",
        )
        shown.add_row(*cells, f"{fixed[-1]:.3f}", best)
    Console(width=110).print(shown)
    pairs = expectations(searches)
    means, correlation = pairs.mean(axis=0), np.corrcoef(pairs.T)[0, 1]
    print(
        f"{len(pairs)} times: expected {means[0]:.4f}, gained {means[1]:.4f} on average, correlation {correlation:.2f}"
    )


if __name__ == "__main__":
    main()
