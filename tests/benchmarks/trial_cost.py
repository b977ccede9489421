"""What a trial costs besides its gradient steps: here, cold and warm, and in the stock arrangement.

    .venv/bin/python tests/benchmarks/trial_cost.py --repeats 5

Run again, it adds to what the file holds: `--repeats 1 --detectors mobilenet` takes two or three minutes.
Fixed cost: from the start of the process (cold, stock) or of the trial (warm) to its first finished evaluation, less its
steps at the speed that they have later, and less what an evaluation takes that is done again (of the stock arrangement,
which traces each anew, less what it takes here). Warm trials differ from
the cold one in augmentations, rate and optimizer's numbers, as a search's trials do. The stock arrangement is
stock_trial.py: one process a trial, with the pipeline.config that the trial here has written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import Others, machine

BEGAN = time.time()
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
OUT = Path(__file__).parent / "results" / "trial_cost.json"
DETECTORS = ("mobilenet", "retinanet", "efficientdet")
STEPS, WARM = 20, 4
BESIDE = 10  # of a cold trial's steps, its evaluation may be traced meanwhile
CITY = "toy-city:train_images=48,validation_images=16"


def fixed(wall: float, steps: list[float], evaluation: float, first: int) -> float:
    """Seconds beside the steps and the evaluation's own; the `first` steps may hold what is paid once."""
    usual = statistics.median(steps[len(steps) // 2 :])
    return wall - sum(steps) + sum(step - usual for step in steps[:first]) - evaluation


def here(detector: str, data: Path, pipeline: Path) -> None:
    """A cold trial and warm ones in this process; prints their fixed costs as JSON."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import search_spaces
    from search_spaces.conditions import Conditions
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import alone_in_process
    from trainers.recipe import Recipe

    space = search_spaces.get(detector)
    first = space.replay(space.seeds(Conditions(steps=STEPS))[0].params, Conditions(steps=STEPS)).recipe

    def recipe(number: int) -> Recipe:
        if number == 0:
            return first
        flip = {"name": "random_horizontal_flip", "options": {"probability": 0.5}}
        bright = {"name": "random_adjust_brightness", "options": {"max_delta": 0.1 * number}}
        schedule = first.to_dict()["schedule"] | {"base": 0.0005 * number}
        return first.replace(augmentations=[flip, bright], schedule=schedule)

    trainer = alone_in_process(open_dataset(CITY, data), len(os.sched_getaffinity(0)), 0.0)
    costs, began = [], BEGAN
    for number in range(1 + WARM):
        trainer.start(recipe(number))
        if number == 0:
            pipeline.write_text(trainer.files()["pipeline.config"], encoding="utf-8")
        seconds = []
        for step in range(STEPS):
            before = time.perf_counter()
            trainer.train(step + 1)
            seconds.append(time.perf_counter() - before)
        trainer.evaluate()
        wall = time.time() - began
        before = time.perf_counter()
        trainer.evaluate()
        again = time.perf_counter() - before
        costs.append(fixed(wall, seconds, again, BESIDE if number == 0 else 1))
        began = time.time()
    print(json.dumps({"cold": costs[0], "warm": costs[1:], "evaluation": again}))


def run(*words: str) -> Any:
    """What another process of Python prints."""
    done = subprocess.run(
        [sys.executable, *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout.splitlines()[-1])


def stock(pipeline: Path, evaluation: float) -> float:
    """The fixed cost of the stock arrangement; `evaluation` is what one takes by itself."""
    began = time.time()
    found = run(str(Path(__file__).with_name("stock_trial.py")), str(pipeline), str(STEPS))
    return fixed(found["measured"] - began, found["steps"], evaluation, 1)


def measure(detector: str, data: Path, repeats: int) -> dict[str, list[float]]:
    """Both arrangements, in turn; `others` is how many cores other processes took meanwhile."""
    found: dict[str, list[float]] = {"stock": [], "cold": [], "warm": [], "others": []}
    pipeline = data / f"{detector}.config"
    for repeat in range(repeats):
        others = Others()
        ours = run(__file__, "--here", detector, "--data", str(data), "--pipeline", str(pipeline))
        found["cold"].append(ours["cold"])
        found["warm"] += ours["warm"]
        found["stock"].append(stock(pipeline, ours["evaluation"]))
        found["others"].append(others.cores())
        print(
            detector, repeat, {name: round(values[-1], 2) for name, values in found.items()}, file=sys.stderr
        )
    return found


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--repeats", type=int, default=5)
    line.add_argument("--detectors", nargs="+", default=DETECTORS, choices=DETECTORS)
    line.add_argument("--out", type=Path, default=OUT)
    line.add_argument("--here", help=argparse.SUPPRESS)
    line.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    line.add_argument("--pipeline", type=Path, help=argparse.SUPPRESS)
    chosen = line.parse_args()
    if chosen.here:
        here(chosen.here, chosen.data, chosen.pipeline)
        return
    from rich.console import Console
    from rich.table import Table

    rows = json.loads(chosen.out.read_text())["seconds"] if chosen.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for detector in chosen.detectors:
            row = rows.setdefault(detector, {})
            for name, values in measure(detector, Path(folder), chosen.repeats).items():
                row[name] = [*row.get(name, []), *values]
    shown = Table(
        "detector",
        "stock",
        "cold",
        "warm",
        "stock / warm",
        "runs",
        "others' cores",
        title="fixed cost of a trial, seconds: median (range)",
    )
    for detector, found in rows.items():
        median = {name: statistics.median(values) for name, values in found.items()}
        cells = [f"{median[n]:.1f} ({min(found[n]):.1f} to {max(found[n]):.1f})" for n in ("stock", "cold")]
        cells.append(f"{median['warm']:.2f} ({min(found['warm']):.2f} to {max(found['warm']):.2f})")
        shown.add_row(
            detector,
            *cells,
            f"{median['stock'] / median['warm']:.0f}",
            str(len(found["stock"])),
            f"{median['others']:.2f}",
        )
    Console(width=110).print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine(), "seconds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
