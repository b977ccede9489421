"""Runs one arm on tasks, for some seeds, and prints a line of JSON for each search: `regret.py` starts this.

.venv/bin/python tests/benchmarks/taskset/arms.py "Optuna TPE" --seeds 0 1 --workers 1
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import tasks

# The module of each arm.
ARMS = {
    "this search": "here",
    "this search, stop": "here",
    "this search, random proposals": "here",
    "random search": "stock",
    "Optuna TPE": "stock",
    "Optuna TPE + Hyperband": "stock",
    "Optuna TPE + successive halving": "stock",
    "Ray ASHA + OptunaSearch": "stock",
    "syne-tune ASHA": "of_syne_tune",
    "syne-tune ASHA + BORE": "of_syne_tune",
    "syne-tune ASHA + CQR": "of_syne_tune",
    "syne-tune BOHB": "of_syne_tune",
    "NePS PriorBand": "of_neps",
    "SMAC Hyperband": "of_smac",
}
# those that need packages that this project does not (requirements.txt)
ELSEWHERE = {"of_syne_tune", "of_neps", "of_smac"}


def main() -> None:
    """Run the arm."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("arm", choices=ARMS)
    line.add_argument("--data", type=Path, default=tasks.DATA)
    line.add_argument("--tasks", nargs="+", metavar="NAME")
    line.add_argument("--seeds", type=int, nargs="+", required=True)
    line.add_argument("--workers", type=int, default=1)
    line.add_argument("--trainings", type=float, default=20)
    chosen = line.parse_args()
    module = importlib.import_module(ARMS[chosen.arm])
    for place, (name, task) in enumerate(tasks.read(chosen.data).items()):
        if chosen.tasks and name not in chosen.tasks:
            continue
        for seed in chosen.seeds:
            own = 100 * seed + place  # the tables have the same recipes in the same order
            completed = module.search(chosen.arm, task, own, chosen.workers, chosen.trainings)
            found = {"arm": chosen.arm, "task": name, "seed": seed, "workers": chosen.workers}
            print(json.dumps(found | {"completed": completed}), flush=True)


if __name__ == "__main__":
    main()
