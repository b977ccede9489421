"""Seconds and memory of a gradient step of each RetinaNet of the family.

    .venv/bin/python tests/benchmarks/training/pyramids.py
    .venv/bin/python tests/benchmarks/training/pyramids.py --sizes 160 --only resnet50-fpn-retina resnet50-fpg-pisa

Each model and size has a process of its own, which takes `--steps` steps of two images, from scratch, with AdamW. The
first, in which TensorFlow traces, is told apart from the mean of the others. Memory is the most that the process ever
held, with TensorFlow itself and an evaluation of two images. Every backbone is measured with FPN and Retina, every other
neck and head with resnet50; a line for each, as it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from machine import Others, machine  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "pyramids.json"
CITY = "toy-city:train_images=16,validation_images=2"


def models() -> list[str]:
    """Backbone, neck and head of each model, joined by dashes."""
    from trainers.object_detection_api.pyramid.backbones import BACKBONES
    from trainers.object_detection_api.pyramid.heads import HEADS
    from trainers.object_detection_api.pyramid.necks import NECKS

    found = [(backbone, "fpn", "retina") for backbone in BACKBONES]
    found += [("resnet50", neck, "retina") for neck in NECKS if neck != "fpn"]
    found += [("resnet50", "fpn", head) for head in HEADS if head != "retina"]
    return ["-".join(parts) for parts in found]


def one(model: str, size: int, steps: int) -> dict[str, float]:
    """Seconds of the first step, of the others by the clock and in CPU time; the peak of memory in MB."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from trainers import recipe as recipes
    from trainers.datasets.opening import open_dataset
    from trainers.model import get
    from trainers.object_detection_api.trainer import alone_in_process

    fields = dict(zip(("backbone", "neck", "head"), model.split("-"), strict=True))
    own = {"model": "retinanet_family", "image_size": size, "batch_size": 2, "steps": steps}
    recipe = recipes.build({**get("retinanet_family").presets["laptop"], **own, **fields})
    with tempfile.TemporaryDirectory() as name:
        trainer = alone_in_process(open_dataset(CITY, Path(name)), len(os.sched_getaffinity(0)), 0.0)
        trainer.start(recipe)
        began = time.monotonic()
        trainer.train(1)
        first = time.monotonic() - began
        trainer.evaluate(images=2)  # is traced beside the first steps
        began, worked = time.monotonic(), time.process_time()
        trainer.train(steps)
        wall, cpu = time.monotonic() - began, time.process_time() - worked
    return {
        "first": first,
        "step": wall / (steps - 1),
        "cpu": cpu / (steps - 1),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--sizes", type=int, nargs="+", default=[160, 640])
    line.add_argument("--only", nargs="+", metavar="MODEL", help="as in resnet50-fpn-retina")
    line.add_argument("--steps", type=int, default=8, help="at least 2 (default: 8)")
    line.add_argument("--out", type=Path, default=OUT)
    line.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    chosen = line.parse_args()
    if chosen.here:
        print(json.dumps(one(chosen.here[0], int(chosen.here[1]), chosen.steps)))
        return
    found: dict[str, dict[str, Any]] = {}
    for model in chosen.only or models():
        for size in chosen.sizes:
            others = Others()
            call = [sys.executable, __file__, "--steps", str(chosen.steps), "--here", model, str(size)]
            ended = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
            seen = json.loads(ended.stdout.splitlines()[-1]) | {"others": others.cores()}
            found.setdefault(model, {})[str(size)] = seen
            print(
                f"{model} at {size} px: first step {seen['first']:.1f} s, then {seen['step']:.2f} s "
                f"({seen['cpu']:.2f} s of CPU time), {seen['megabytes']:.0f} MB; "
                f"other work on {seen['others']:.1f} cores",
                flush=True,
            )
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine(), "models": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
