"""What an empty trial of three rungs costs through the whole stack: searcher, scheduler, Ray, Optuna's journal, MLflow.

    .venv/bin/python tests/benchmarks/empty_trial.py --trials 200

A real search with a trainer whose steps take no time. The first trials, in which Ray and its worker start, are left
out: told is the time between the ends of the later ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from machine import Others, machine
from scale import command

OUT = Path(__file__).parent / "results" / "empty_trial.json"
LEFT_OUT = 20


def ends(trials: int) -> list[float]:
    """When each trial ended, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        words = command(Path(name), trials, 0.0)
        words[words.index("--workers") + 1] = "1"
        driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        found = [
            time.perf_counter()
            for line in driver.stdout
            if line.startswith("trial ") and line.split()[2] in ("completed:", "pruned:")
        ]
        if driver.wait():
            raise SystemExit("the search failed")
    return found


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=200)
    line.add_argument("--rounds", type=int, default=5)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    others, each = Others(), []
    for _ in range(chosen.rounds):
        found = ends(chosen.trials)[LEFT_OUT:]
        each.append((found[-1] - found[0]) / (len(found) - 1))
    busy = others.cores()
    print(
        f"an empty trial: {statistics.median(each):.3f} s ({min(each):.3f} to {max(each):.3f}), "
        f"{chosen.rounds} searches of {chosen.trials}; others' cores: {busy:.2f}"
    )
    chosen.out.parent.mkdir(exist_ok=True)
    result = {"machine": machine(), "seconds": each, "trials": chosen.trials, "others": busy}
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
