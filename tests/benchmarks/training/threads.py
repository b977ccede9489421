"""Trials side by side on a core each, against one after the other on all cores: images a second.

    .venv/bin/python tests/benchmarks/training/threads.py --detectors mobilenet retinanet --rounds 5

A process with a thread for each core, and as many processes of one thread, each with its trial ready; they take the same
number of steps in turns: the one alone, then the others all at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from machine import Others, machine  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "threads.json"
CITY = "toy-city:train_images=48,validation_images=16"
CORES = len(os.sched_getaffinity(0))
STEPS = {"mobilenet": 30, "retinanet": 20, "efficientdet": 15}


def here(detector: str, data: Path, cpus: int) -> None:
    """A trial in this process; for each line that it reads it takes steps, and prints its images a second."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import search_spaces
    from search_spaces.conditions import Conditions
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import alone_in_process

    space, conditions = search_spaces.get(detector), Conditions(steps=1000)
    trainer = alone_in_process(open_dataset(CITY, data), cpus, 0.0)
    trainer.start(space.replay(space.seeds(conditions)[0].params, conditions).recipe)
    trainer.train(3)
    trainer.evaluate(images=8)  # nothing is traced any more
    print("ready", flush=True)
    for _ in sys.stdin:
        print(trainer.train(trainer.step + STEPS[detector]).images_per_second, flush=True)


class Trial:
    """Such a process."""

    def __init__(self, detector: str, data: Path, cpus: int) -> None:
        words = [sys.executable, __file__, "--here", detector, "--data", str(data), "--cpus", str(cpus)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self) -> None:
        """Let it take its steps."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """What it prints next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def measure(detector: str, rounds: int) -> dict[str, list[float]]:
    """Images a second of both, and how many cores other processes took."""
    found: dict[str, list[float]] = {"one on all": [], "one on each": [], "others": []}
    with tempfile.TemporaryDirectory() as folder:
        from trainers.datasets.opening import open_dataset

        open_dataset(CITY, Path(folder))
        others = Others()
        trials = [Trial(detector, Path(folder), cpus) for cpus in (CORES, *[1] * CORES)]
        assert [trial.answer() for trial in trials] == ["ready"] * len(trials)
        for _ in range(rounds):
            for name, turn in (("one on all", trials[:1]), ("one on each", trials[1:])):
                for trial in turn:
                    trial.ask()
                found[name].append(sum(float(trial.answer()) for trial in turn))
        for trial in trials:
            trial.process.communicate()
        found["others"].append(others.cores())
    return found


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--detectors", nargs="+", default=("mobilenet", "retinanet"), choices=STEPS)
    line.add_argument("--rounds", type=int, default=5)
    line.add_argument("--out", type=Path, default=OUT)
    line.add_argument("--here", help=argparse.SUPPRESS)
    line.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    line.add_argument("--cpus", type=int, help=argparse.SUPPRESS)
    chosen = line.parse_args()
    if chosen.here:
        here(chosen.here, chosen.data, chosen.cpus)
        return
    from rich.console import Console
    from rich.table import Table

    rows = {detector: measure(detector, chosen.rounds) for detector in chosen.detectors}
    title = f"images/s on {CORES} cores: median (range), {chosen.rounds} rounds"
    shown = Table("detector", "one trial on all", "one on each", "ratio", "others' cores", title=title)
    for detector, found in rows.items():
        cells = [
            f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
            for values in (found["one on all"], found["one on each"])
        ]
        ratios = [b / a for a, b in zip(found["one on all"], found["one on each"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown.add_row(detector, *cells, ratio, f"{found['others'][0]:.2f}")
    Console(width=110).print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine(), "images_per_second": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
