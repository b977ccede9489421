"""What the input costs a step: fed by the pipeline against the same step on one constant batch; and images a second.

    .venv/bin/python tests/benchmarks/step.py --rounds 7

--xla compiles the step (`tuning.run --xla`), and adds its own rows to the file.
Blocks of steps are taken in turn, fed and on the batch that came first. Without a step in between, the pipeline is
then compared with a loop over the API's own `inputs.train_input` on the same pipeline.config: batches a round.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import Others, machine

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
OUT = Path(__file__).parent / "results" / "step.json"
CITY = "toy-city:train_images=240,validation_images=16"
AUGMENTATIONS = [
    {"name": "random_horizontal_flip"},
    {"name": "random_crop_image", "options": {"min_object_covered": 0.0, "min_area": 0.5}},
    {"name": "random_adjust_brightness", "options": {"max_delta": 0.2}},
    {"name": "random_adjust_saturation"},
]
STEPS, BATCHES = 10, 40  # in a block
NAMES = {
    "fed": "step fed by the pipeline, s",
    "constant": "step on one batch, s",
    "ratio": "fed / constant",
    "CPU ratio": "fed / constant, CPU time",
    "here": "pipeline alone, images/s",
    "stock": "inputs.train_input, images/s",
    "here, CPU": "pipeline alone, CPU ms an image",
    "stock, CPU": "inputs.train_input, CPU ms an image",
}


def seconds(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Of the wall and of the CPU for doing it once, on average."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        work()
    return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times


def stock_batches(pipeline: str, folder: Path) -> Any:
    """An iterator over the API's own batches."""
    from object_detection import inputs
    from object_detection.builders import model_builder
    from object_detection.utils import config_util

    path = folder / "pipeline.config"
    path.write_text(pipeline, encoding="utf-8")
    configs = config_util.get_configs_from_pipeline_file(str(path))
    batches = inputs.train_input(
        train_config=configs["train_config"],
        train_input_config=configs["train_input_config"],
        model_config=configs["model"],
        model=model_builder.build(configs["model"], is_training=True),
    )
    return iter(batches.repeat())


def measure(detector: str, rounds: int, xla: bool) -> dict[str, Any]:
    """Seconds of a step and images a second, each round's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import search_spaces
    from search_spaces.conditions import Conditions
    from trainers.datasets.opening import open_dataset
    from trainers.object_detection_api.trainer import alone_in_process

    space = search_spaces.get(detector)
    conditions = Conditions(steps=400)
    recipe = space.replay(space.seeds(conditions)[0].params, conditions).recipe
    recipe = recipe.replace(augmentations=AUGMENTATIONS, schedule={"kind": "constant", "base": 1e-5})
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        city = open_dataset(CITY, Path(folder))
        trainer = alone_in_process(city, len(os.sched_getaffinity(0)), 0.0, xla)
        trainer.start(recipe)
        batches = trainer._training_batches()
        constant = next(batches)
        trainer.train(STEPS)
        trainer.evaluate(images=8)  # nothing is traced any more
        others = Others()
        for _ in range(rounds):
            fed, fed_cpu = seconds(lambda: trainer._take_step(next(batches), 1e-5), STEPS)
            same, same_cpu = seconds(lambda: trainer._take_step(constant, 1e-5), STEPS)
            values = (fed, same, fed / same, fed_cpu / same_cpu)
            for name, value in zip(("fed", "constant", "ratio", "CPU ratio"), values, strict=True):
                found[name].append(value)
        for side in ("here", "stock"):  # not in turn: the API's pipeline works ahead as far as it can
            source = (
                batches if side == "here" else stock_batches(trainer.files()["pipeline.config"], Path(folder))
            )
            seconds(functools.partial(next, source), BATCHES)
            for _ in range(rounds):
                each, cpu = seconds(functools.partial(next, source), BATCHES)
                found[side].append(recipe.batch_size / each)
                found[f"{side}, CPU"].append(cpu / recipe.batch_size * 1000)
    return found | {"others": [others.cores()], "batch": [recipe.batch_size]}


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--rounds", type=int, default=7)
    line.add_argument("--detector", default="mobilenet")
    line.add_argument("--xla", action="store_true")
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    found = measure(chosen.detector, chosen.rounds, chosen.xla)
    from rich.console import Console
    from rich.table import Table

    title = chosen.detector + (" with XLA" if chosen.xla else "")
    shown = Table(title, "median", "range", title=f"others' cores: {found['others'][0]:.2f}")
    for name, words in NAMES.items():
        low, middle, high = min(found[name]), statistics.median(found[name]), max(found[name])
        shown.add_row(words, f"{middle:.3f}", f"{low:.3f} to {high:.3f}")
    Console(width=110).print(shown)
    known = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(known | {"machine": machine(), title: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
