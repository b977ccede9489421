"""An evaluation of 1,000 images here and by the API's `eager_eval_loop` with pycocotools: whole, and the metric alone.

    .venv/bin/python tests/benchmarks/evaluation.py --rounds 5

Both evaluate the same model with the same variables in one process, and their mAP is told. "first" is the first one of
a worker, which traces and reads; "here" the later ones, whose batches are kept. The API traces each anew.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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
OUT = Path(__file__).parent / "results" / "evaluation.json"
STEPS = 60


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it gives."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def by_pycocotools(results: Any, classes: Any) -> float:
    """The mAP."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from trainers.detection import coco_metrics

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco_metrics.ground_truth(results, classes)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(coco_metrics.detections(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def stock(trainer: Any, configs: Any) -> float:
    """The mAP by the API's own loop."""
    import tensorflow as tf
    from object_detection import inputs, model_lib_v2

    model = trainer._graph.detector.model
    model._groundtruth_lists.clear()  # of our own trace
    with trainer._as_evaluated(), contextlib.redirect_stdout(io.StringIO()):
        validation = inputs.eval_input(
            eval_config=configs["eval_config"],
            eval_input_config=configs["eval_input_config"],
            model_config=configs["model"],
            model=model,
        )
        step = tf.Variable(0, trainable=False, dtype=tf.int64)
        found = model_lib_v2.eager_eval_loop(model, configs, validation, global_step=step)
    return float(found["DetectionBoxes_Precision/mAP"])


def measure(images: int, rounds: int) -> dict[str, Any]:
    """Seconds of each way, each round's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import search_spaces
    from search_spaces.conditions import Conditions
    from trainers.datasets.opening import open_dataset
    from trainers.detection import coco_metrics
    from trainers.object_detection_api.trainer import alone_in_process

    space, conditions = search_spaces.get("mobilenet"), Conditions(steps=STEPS)
    recipe = space.replay(space.seeds(conditions)[0].params, conditions).recipe
    found: dict[str, Any] = {"first": [], "here": [], "stock": [], "metric here": [], "metric stock": []}
    with tempfile.TemporaryDirectory() as name:
        city = open_dataset(f"toy-city:train_images=64,validation_images={images}", Path(name))
        trainer = alone_in_process(city, len(os.sched_getaffinity(0)), 0.0)
        trainer.start(recipe)
        trainer.train(STEPS)
        found["first"].append(timed(trainer.evaluate)[0])
        from object_detection.utils import config_util
        from stock_trial import without_summaries

        without_summaries()
        path = Path(name) / "pipeline.config"
        path.write_text(trainer.files()["pipeline.config"], encoding="utf-8")
        configs = config_util.get_configs_from_pipeline_file(str(path))
        others = Others()
        for number in range(rounds):
            took, metrics = timed(trainer.evaluate)
            found["here"].append(took)
            took, _ = timed(lambda metrics=metrics: coco_metrics.evaluate(metrics.results, city.classes))  # type: ignore[misc]
            found["metric here"].append(took)
            took, other = timed(lambda metrics=metrics: by_pycocotools(metrics.results, city.classes))  # type: ignore[misc]
            found["metric stock"].append(took)
            took, whole = timed(lambda: stock(trainer, configs))
            found["stock"].append(took)
            found["mAP"] = {"here": metrics.values["mAP"], "pycocotools": other, "stock": whole}
            print(number, {n: v[-1] for n, v in found.items() if n != "mAP"}, found["mAP"], file=sys.stderr)
    return found | {"others": others.cores(), "images": images}


def main() -> None:
    """Run the benchmark."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--images", type=int, default=1000)
    line.add_argument("--rounds", type=int, default=5)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    found = measure(chosen.images, chosen.rounds)
    from rich.console import Console
    from rich.table import Table

    title = f"{chosen.images} images, seconds: median (range); others' cores: {found['others']:.2f}"
    shown = Table("", "here", "stock", "stock / here", title=title)
    for words, ours, theirs in (("whole", "here", "stock"), ("metric alone", "metric here", "metric stock")):
        medians = [statistics.median(found[name]) for name in (ours, theirs)]
        cells = [
            f"{middle:.2f} ({min(found[name]):.2f} to {max(found[name]):.2f})"
            for name, middle in zip((ours, theirs), medians, strict=True)
        ]
        shown.add_row(words, *cells, f"{medians[1] / medians[0]:.1f}")
    shown.add_row("first of a worker", f"{found['first'][0]:.2f}", "", "")
    console = Console(width=110)
    console.print(shown)
    console.print("mAP", found["mAP"])
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine()} | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
