"""A whole search here, and the same recipes and rungs on the stock arrangement under Ray's function API: wall time.

    .venv/bin/python tests/benchmarks/search_cost.py --trials 8 --steps 180

The search runs first. Then each of its trials is trained to the rung that it reached and evaluated at its rungs by
stock_trial.py, a process a trial as Ray's function API has it, with the pipeline.config that the search wrote. A trial
that was promoted later is one trial there. Each has the machine as it takes it by default: here a worker a core, whose
TensorFlow has one thread; there Ray's one CPU a trial, so as many at once, whose TensorFlow takes what it finds. The
share of gradient steps is of the search's wall, by workers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = HERE / "results" / "search_cost.json"
CITY = "toy-city:train_images=240,validation_images=60"


def here(studies: Path, trials: int, steps: int) -> dict[str, Any]:
    """The search: its wall time, the shares that its workers tell of, and its trials' rungs."""
    sys.path.insert(0, str(ROOT))
    from tuning.api.settings import Settings

    workers = Settings("mobilenet", trials=trials).at_once
    words = ["--space", "mobilenet", "--data", CITY, "--studies-dir", str(studies), "--study", "here"]
    words += ["--trials", str(trials), "--max-steps", str(steps)]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tuning.run", *words], check=True, cwd=ROOT, stdout=sys.stderr)
    wall = time.perf_counter() - began
    ran = json.loads((studies / "here" / "summary.json").read_text())["trials"]
    return {
        "wall": wall,
        "workers": workers,
        "training": sum(trial["seconds_training"] for trial in ran),
        "overhead": sum(trial["seconds_overhead"] for trial in ran),
        "rungs": {trial["trial"]: [rung["step"] for rung in trial["rungs"]] for trial in ran},
    }


def stock_function(config: dict[str, Any]) -> None:
    """A trial as Ray's function API takes it."""
    from ray import tune

    sys.path.insert(0, str(HERE))
    import stock_trial

    pipeline, rungs = config["trial"]
    stock_trial.trial(pipeline, rungs, lambda step, mean_ap: tune.report({"step": step, "mAP": mean_ap}))


def stock(trials: Sequence[tuple[str, list[int]]]) -> float:
    """Its wall time, with Ray's start."""
    began = time.perf_counter()
    import ray
    from ray import tune

    ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as scratch:
        tune.run(
            stock_function,
            config={"trial": tune.grid_search(list(trials))},
            storage_path=scratch,
            verbose=0,
        )
    ray.shutdown()
    return time.perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=8)
    line.add_argument("--steps", type=int, default=180)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory() as name:
        ours = here(Path(name), chosen.trials, chosen.steps)
        folder = Path(name) / "here" / "trials"
        trials = [
            (str(folder / str(n) / "pipeline.config"), rungs) for n, rungs in ours["rungs"].items() if rungs
        ]
        theirs = stock(trials)
    from rich.console import Console
    from rich.table import Table

    share = ours["training"] / ours["workers"] / ours["wall"]
    shown = Table("", "wall, s", title=f"{len(trials)} trials of up to {chosen.steps} steps")
    shown.add_row("here", f"{ours['wall']:.0f}")
    shown.add_row("stock arrangement", f"{theirs:.0f}")
    shown.add_row("stock / here", f"{theirs / ours['wall']:.2f}")
    shown.add_row("gradient steps' share of the wall here", f"{share:.0%}")
    Console(width=110).print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    result = {"machine": machine(), "here": ours, "stock": theirs}
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
