"""A worker's resident set over many warm trials of alternating recipes: is it flat?

    .venv/bin/python tests/benchmarks/training/memory.py --trials 60

Each trial takes a few steps of two images, is evaluated on eight and saved. Recipes alternate between two graphs, three
optimizers, and augmentations that no trial has had before. Told are the means of trials 11 to 20 and of the last ten.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from machine import machine  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "memory.json"
CITY = "toy-city:train_images=48,validation_images=16"
STEPS = 3


def fields(number: int) -> dict[str, Any]:
    """The recipe of a trial."""
    return {
        "model": "mobilenet",
        "image_size": 160,
        "batch_size": 2 + number % 2,
        "steps": STEPS,
        "optimizer": {"kind": ("momentum", "adam", "rms_prop")[number % 3]},
        "schedule": {"kind": "constant", "base": 1e-5 * (1 + number)},
        "augmentations": [
            {"name": "random_horizontal_flip"},
            {"name": "random_adjust_brightness", "options": {"max_delta": 0.1 + 0.001 * number}},
            {"name": "random_crop_image", "options": {"min_object_covered": 0.0, "min_area": 0.5}},
        ][: 1 + number % 3],
        "averaging": 0.9 if number % 4 == 0 else None,
        "gradient_clip": 1.0 if number % 5 == 0 else None,
        "seed": number,
    }


def measure(trials: int) -> list[float]:
    """Megabytes after each trial."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import psutil

    from trainers import recipe as recipes
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import alone_in_process

    found, process = [], psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        trainer = alone_in_process(open_dataset(CITY, Path(name)), len(os.sched_getaffinity(0)), 0.0)
        for number in range(trials):
            trainer.start(recipes.build(fields(number)))
            trainer.train(STEPS)
            trainer.save(Path(name) / "checkpoint").result()
            trainer.evaluate(images=8)
            found.append(process.memory_info().rss / 1e6)
            print(number, round(found[-1]), file=sys.stderr)
    return found


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--trials", type=int, default=60)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    found = measure(chosen.trials)
    from rich.console import Console
    from rich.table import Table

    early, late = statistics.mean(found[10:20]), statistics.mean(found[-10:])
    shown = Table("trials", "MB", title=f"resident set of a worker over {chosen.trials} warm trials")
    shown.add_row("1", f"{found[0]:.0f}")
    shown.add_row("11 to 20", f"{early:.0f}")
    shown.add_row("the last ten", f"{late:.0f}")
    shown.add_row("the last ten / 11 to 20", f"{late / early:.3f}")
    Console(width=110).print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine(), "megabytes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
