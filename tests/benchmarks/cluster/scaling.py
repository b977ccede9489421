"""Trials an hour on one, two and three machines that share no disk, with a trainer that sleeps through its steps.

    sudo .venv/bin/python tests/benchmarks/cluster/scaling.py --trials 6 --seconds 20

The machines are Ray nodes with namespaces of their own (tests/cluster/nodes.py), two workers each; studies are in S3,
runs on MLflow's server. Every trial is trained to its end. Counted is the time from the first trial's start to the end
of the last one: a linear search takes as long on any number of machines.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / each) for each in ("", "tests/cluster", "tests/tuning", "tests/benchmarks")]
from conftest import Cluster, cluster_of  # noqa: E402
from machine import Others, machine  # noqa: E402
from watching import Driver, command, trained  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "scaling.json"
PACE, WORKERS = 0.1, 2  # seconds of a step, and trials at once on a machine


def search(cluster: Cluster, folder: Path, machines: int, trials: int, steps: int) -> dict[str, float]:
    """Seconds of a search with so many trials for each of its workers, and the share of them in which these train."""
    study, began = f"scaling-{machines}", time.time()
    line = command(cluster, study, steps=steps, database=False)
    line[line.index("--workers") + 1] = str(WORKERS * machines)
    count = trials * WORKERS * machines
    driver = Driver(folder / study).start(
        cluster.head, [*line, "--trials", str(count), "--scheduler", "full", "--sampler", "random"]
    )
    if driver.ended(3600) != 0:
        raise SystemExit(driver.said)
    at = {
        kind: [seen for seen, text in driver.lines if re.match(rf"trial \d+ {kind}", text)]
        for kind in ("starts", "completed")
    }
    if len(at["completed"]) != count:
        raise SystemExit(driver.said)
    lasted = max(at["completed"]) - min(at["starts"])
    spent = sum(note.seconds for note in trained([cluster.head, *cluster.workers], began))
    return {
        "trials": count,
        "seconds": round(lasted, 1),
        "trials_an_hour": round(3600 * count / lasted, 1),
        "training_share_of_workers": round(spent / (lasted * WORKERS * machines), 4),
    }


def main() -> None:
    """Measure, print and keep the result."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=6, help="for each worker")
    line.add_argument("--seconds", type=float, default=20.0, help="of a trial")
    line.add_argument("--rounds", type=int, default=1)
    chosen = line.parse_args()
    others, rounds = Others(), []
    for _ in range(chosen.rounds):
        found = {}
        for machines in (1, 2, 3):
            try:
                with cluster_of(workers=machines - 1, head_cpus=WORKERS) as cluster:
                    folder = cluster.head.disk.parent
                    found[machines] = search(
                        cluster, folder, machines, chosen.trials, round(chosen.seconds / PACE)
                    )
            except pytest.skip.Exception as error:
                raise SystemExit(f"it cannot be measured here: {error}") from None
            print(machines, found[machines], flush=True)
        rounds.append(found)
    linear = {
        machines: round(
            statistics.median(
                each[machines]["trials_an_hour"] / (machines * each[1]["trials_an_hour"]) for each in rounds
            ),
            4,
        )
        for machines in (2, 3)
    }
    result = {
        "machine": machine(), "others_cores": round(others.cores(), 2), "seconds_of_a_trial": chosen.seconds,
        "rounds": rounds, "share_of_linear": linear,
    }  # fmt: skip
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
