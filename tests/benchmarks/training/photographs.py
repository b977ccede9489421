"""What large photographs cost a step: fed by the pipeline against the same step on one constant batch, by augmentation.

    .venv/bin/python tests/benchmarks/training/photographs.py --size 1280x720
    .venv/bin/python tests/benchmarks/training/photographs.py --size 4000x3000

Every augmentation that a space offers is taken alone, as strong as the space has it. Blocks of steps are taken in turn,
fed and on the batch that came first. `decoding` is what an image costs once, when the first trial of a size begins. The
ratio of the CPU time is the one to read where other work shares the machine: it counts all threads of the process.
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
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks"), str(Path(__file__).resolve().parent)]

from machine import Others, machine  # noqa: E402
from step import seconds  # noqa: E402

from search_spaces.parts.augmentation import AUGMENTATIONS, Choice  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "photographs.json"
RATE = 1e-5  # small, so that no block differs from the others by what was learned
AHEAD = 3  # batches that the pipeline may have ready


def strongest(choice: Choice, image_size: int) -> dict[str, Any]:
    """The augmentation at the ends of its ranges that change most: the lowest minimum, the highest of all else."""
    options = {
        name: values.low if name.startswith("min_") or name == "scale_min" else values.high
        for name, values in choice.strength.items()
    }
    options |= {choice.side: image_size} if choice.side else {}
    return {"name": choice.api, "options": {**choice.fixed, **options}}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """By augmentation, the ratios fed / constant of each round, of the wall and of the CPU; seconds of decoding."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import search_spaces
    from search_spaces.conditions import Conditions
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import alone_in_process

    space = search_spaces.get(chosen.detector)
    conditions = Conditions(steps=10_000, image_size=chosen.image_size, batch_size=chosen.batch_size)
    plain = space.replay(space.seeds(conditions)[0].params, conditions).recipe
    width, height = chosen.size.split("x")
    city = f"toy-city:train_images={chosen.images},validation_images=2,widths={width}-{width},heights={height}-{height}"
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # decoded images too, which must not be there already
        data = open_dataset(city, Path(folder))
        trainer = alone_in_process(data, len(os.sched_getaffinity(0)), 0.0)
        trainer.start(plain)
        trainer.train(2)
        trainer.evaluate(images=2)  # nothing is traced any more
        trainer._example_sets._sets.clear()
        decoding = seconds(trainer._examples, 1)
        others = Others()
        for name in chosen.augmentations or AUGMENTATIONS:
            augmentation = strongest(AUGMENTATIONS[name], chosen.image_size)
            trainer.start(plain.replace(augmentations=[augmentation]))
            rounds = []
            for _ in range(chosen.rounds):
                batches = trainer._training_batches()
                constant = next(batches)
                for _ in range(AHEAD):  # prepared before the block, which would cost it nothing
                    trainer._take_step(next(batches), RATE)
                fed = seconds(lambda batches=batches: trainer._take_step(next(batches), RATE), chosen.steps)
                del batches  # with its threads
                same = seconds(lambda constant=constant: trainer._take_step(constant, RATE), chosen.steps)
                rounds.append({"ratio": fed[0] / same[0], "CPU ratio": fed[1] / same[1], "step": same[0]})
            found[name] = rounds
            print(name, *(f"{each['ratio']:.3f} ({each['CPU ratio']:.3f})" for each in rounds), flush=True)
    each = {"wall": decoding[0] / chosen.images, "CPU": decoding[1] / chosen.images}
    return {"augmentations": found, "decoding, s an image": each, "others' cores": others.cores()}


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument(
        "--size", default="1280x720", help="of the photographs, WIDTHxHEIGHT (default: 1280x720)"
    )
    line.add_argument("--images", type=int, default=24)
    line.add_argument("--detector", default="mobilenet")
    line.add_argument("--image-size", type=int, default=320)
    line.add_argument("--batch-size", type=int, default=8)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--steps", type=int, default=4, help="in a block")
    line.add_argument("--augmentations", nargs="+", choices=AUGMENTATIONS, help="default: all")
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    found = measure(chosen)
    from rich.console import Console
    from rich.table import Table

    shown = Table("augmentation", "fed / constant", "range", "CPU", title=f"{chosen.detector}, {chosen.size}")
    for name, rounds in found["augmentations"].items():
        ratios = [each["ratio"] for each in rounds]
        cpu = statistics.median(each["CPU ratio"] for each in rounds)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        shown.add_row(name, f"{statistics.median(ratios):.3f}", spread, f"{cpu:.3f}")
    console = Console(width=110)
    console.print(shown)
    decoding = found["decoding, s an image"]
    console.print(
        f"decoding once: {decoding['wall']:.3f} s an image by the clock, {decoding['CPU']:.3f} s of CPU time"
    )
    known = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.parent.mkdir(exist_ok=True)
    title = f"{chosen.detector}, {chosen.size}"
    chosen.out.write_text(json.dumps(known | {"machine": machine(), title: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
