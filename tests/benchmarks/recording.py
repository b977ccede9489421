"""Records learning curves for efficiency.py and rungs.py: random recipes of a space, each trained to its end.

    .venv/bin/python tests/benchmarks/recording.py --trials 64

Run again, it goes on where it was ended: a trial that is in the file is not trained twice. At every rung the detector
is measured as it stands ("plain"), and as it could tell its final mAP earlier ("statistics"): with batch-norm
statistics estimated anew over clean training images, at the present weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainers.object_detection_api import compat  # noqa: E402

compat.install()

import tensorflow as tf  # noqa: E402

import search_spaces  # noqa: E402
from search_spaces.conditions import Conditions  # noqa: E402
from trainers.datasets.opening import open_dataset  # noqa: E402
from trainers.errors import TrialFailed  # noqa: E402
from trainers.files import write_text  # noqa: E402
from trainers.metrics import Metrics  # noqa: E402
from trainers.object_detection_api import input  # noqa: E402
from trainers.object_detection_api.model import learning_phase  # noqa: E402
from trainers.object_detection_api.trainer import DetectorTrainer, alone_in_process  # noqa: E402
from tuning.halving import rung_steps  # noqa: E402
from tuning.proposer import Proposer  # noqa: E402

FILE = Path(__file__).with_name("mobilenet_curves.json")
# steps that have three rungs; half the laptop preset's batch, so that a core records a curve in a minute or two
CONDITIONS = Conditions(steps=300, batch_size=4)
RUNGS = rung_steps(CONDITIONS.steps)
STATISTICS_BATCHES = 12
SEED = 20  # of the recipes


class Recorder(DetectorTrainer):
    """A DetectorTrainer that can also be measured in the other ways."""

    def start(self, recipe: Any) -> None:
        super().start(recipe)
        if not hasattr(self, "_moving"):
            layers = [
                layer for layer in self._graph.detector.model.submodules if hasattr(layer, "moving_mean")
            ]
            self._moving = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
            self._decay = layers[0].momentum
            self._clean = self._clean_batches()
            self._forward = tf.function(self._predict_as_in_training, autograph=False)

    def ways(self) -> dict[str, Metrics]:
        """The detector at a rung, measured in every way but the plain one."""
        with self._own_average(), self._statistics():
            return {"statistics": self._evaluate(None)}

    @contextmanager
    def _own_average(self) -> Iterator[None]:
        if self._recipe.averaging is None:
            yield
            return
        with self._graph.averaging.in_place():
            yield

    @contextmanager
    def _statistics(self) -> Iterator[None]:
        """Within it, batch normalisation has its statistics over clean training images at the present weights."""
        before = [v.numpy() for v in self._moving]
        sums = [0.0] * len(before)
        for batch in self._clean:
            self._forward(batch["image"], batch["true_image_shape"])
            for i, (variable, old) in enumerate(zip(self._moving, before, strict=True)):
                sums[i] = sums[i] + (variable.numpy() - self._decay * old) / (1 - self._decay)
                variable.assign(old)
        for variable, total in zip(self._moving, sums, strict=True):
            variable.assign(total / len(self._clean))
        try:
            yield
        finally:
            for variable, old in zip(self._moving, before, strict=True):
                variable.assign(old)

    def _clean_batches(self) -> list[Any]:
        batches = input.validation_batches(
            self._dataset.train, self._config, self._graph.detector.model.preprocess,
            self._recipe.batch_size, self._threads,
        )  # fmt: skip
        return list(batches.take(STATISTICS_BATCHES))

    def _predict_as_in_training(self, image: tf.Tensor, shape: tf.Tensor) -> None:
        with learning_phase(True):
            self._graph.detector.model.predict(image, shape)


def short(metrics: Metrics) -> dict[str, float]:
    """What a scheduler may judge by."""
    flat = metrics.flat()
    return {name: round(flat[name], 5) for name in ("mAP", "mAP50", "validation_loss/total")}


def record(trainer: Recorder, number: int) -> dict[str, Any]:
    """One recipe's curve, as tuning.simulation.Curve.to_dict has it, with the `ways` at the rungs besides."""
    space = search_spaces.get("mobilenet")
    at_random = Proposer(lambda trial: space.suggest(trial, CONDITIONS), SEED, startup_trials=10**9)
    proposal = at_random.propose(number)
    trainer.start(proposal.recipe)
    curve: dict[str, Any] = {
        "recipe": proposal.recipe.to_dict(), "params": dict(proposal.params), "steps": [], "metrics": {}, "ways": {},
    }  # fmt: skip
    seconds = 0.0
    try:
        for step in RUNGS:
            began = time.process_time()
            trainer.train(step)
            seconds += time.process_time() - began
            for name, value in short(trainer.evaluate()).items():
                curve["metrics"].setdefault(name, []).append(value)
            curve["steps"].append(step)
            curve["ways"][str(step)] = {way: short(found) for way, found in trainer.ways().items()}
    except TrialFailed as error:
        curve["failed"] = {"step": trainer.step + 1, "reason": error.reason}
    curve["seconds_per_step"] = round(seconds / max(1, trainer.step), 4)
    return {"number": number} | curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument(
        "--data", type=Path, default=ROOT / "studies" / "data", help="where the toy city is kept"
    )
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    curves = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    missing = [n for n in range(chosen.trials) if n not in {curve["number"] for curve in curves}]
    data = open_dataset(None, chosen.data)
    if any(curve["data"] != data.fingerprint for curve in curves):
        raise SystemExit(f"{chosen.out} was recorded on another toy city; move it away")
    alone_in_process(data, chosen.cpus, 0.0)
    trainer = Recorder(data, threads=chosen.cpus)
    for number in missing:
        began = time.monotonic()
        curve = record(trainer, number) | {"data": data.fingerprint}
        curves = sorted([*curves, curve], key=lambda one: one["number"])
        lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in curves)
        write_text(chosen.out, f"[\n{lines}\n]\n")
        ways = {step: {way: m["mAP"] for way, m in found.items()} for step, found in curve["ways"].items()}
        took = f"{curve['seconds_per_step']} CPU s a step, {time.monotonic() - began:.0f} s in all"
        print(number, curve["metrics"].get("mAP"), ways, curve.get("failed", ""), took, flush=True)


if __name__ == "__main__":
    main()
