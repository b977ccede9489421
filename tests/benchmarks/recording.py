"""Records learning curves for efficiency.py and rungs.py: random recipes of a space, each trained to its end.

    .venv/bin/python tests/benchmarks/recording.py --trials 62 --out tests/benchmarks/mobilenet_curves_precise.json
    .venv/bin/python tests/benchmarks/recording.py --space retinanet --batch-size 2 --steps 120 --trials 40
        --out tests/benchmarks/retinanet_curves.json
    .venv/bin/python tests/benchmarks/recording.py --trials 40 --data ../shared/data/raccoon --image-size 320
        --weights ../shared/data/weights/mobilenet_v2_fpnlite_320_hands/ckpt-0 --out raccoon_curves.json

The last fine-tunes on somebody's images, by the space's fine-tuning parameters.
Run again, it goes on where it was ended: a trial that is in the file is not trained twice. At every rung the detector
is measured as a search measures it ("metrics"), and with the statistics of batch normalisation that training left, as
the API's own evaluation does ("moving_averages").
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainers.object_detection_api import compat  # noqa: E402

compat.install()

import search_spaces  # noqa: E402
from search_spaces.conditions import Conditions  # noqa: E402
from trainers.datasets.opening import open_dataset  # noqa: E402
from trainers.detection.task import DETECTION  # noqa: E402
from trainers.errors import TrialFailed  # noqa: E402
from trainers.files import write_text  # noqa: E402
from trainers.metrics import Metrics  # noqa: E402
from trainers.object_detection_api.checkpoints import weights  # noqa: E402
from trainers.object_detection_api.trainer import DetectorTrainer, alone_in_process  # noqa: E402
from trainers.recipe import InitialWeights  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers.tpe import TPESampler  # noqa: E402
from tuning.search.scheduler import rung_steps  # noqa: E402

FILE = Path(__file__).with_name("mobilenet_curves.json")
# steps that have three rungs; half the laptop preset's batch, so that a core records a curve in a minute or two
STEPS, BATCH_SIZE = 300, 4
SEED = 20  # of the recipes
OBJECTIVE = DETECTION.objective(None, ())


class Recorder(DetectorTrainer):
    """A DetectorTrainer that can also be measured as the API does."""

    def evaluate_moving_averages(self) -> Metrics:
        """The detector with batch normalisation's moving averages."""
        averaged = self._recipe.averaging is not None
        with self._graph.averaging.in_place() if averaged else nullcontext():
            return self._evaluate(None)


def record(trainer: Recorder, number: int, space_name: str, conditions: Conditions) -> dict[str, Any]:
    """One recipe's curve as simulation.Curve.to_dict has it, with `moving_averages` besides its `metrics`."""
    space = search_spaces.get(space_name)
    context = SamplerContext(lambda trial: space.suggest(trial, conditions), SEED, OBJECTIVE)
    at_random = TPESampler(context, startup_trials=10**9)
    proposal = at_random.propose(number)
    trainer.start(proposal.recipe)
    metrics: dict[str, list[float]] = {}
    moving_averages: dict[str, list[float]] = {}
    curve: dict[str, Any] = {
        "recipe": proposal.recipe.to_dict(), "params": dict(proposal.params), "steps": [],
        "metrics": metrics, "moving_averages": moving_averages,
    }  # fmt: skip
    seconds = 0.0
    try:
        for step in rung_steps(conditions.steps):
            began = time.process_time()
            trainer.train(step)
            seconds += time.process_time() - began
            _add(metrics, trainer.evaluate())
            _add(moving_averages, trainer.evaluate_moving_averages())
            curve["steps"].append(step)
    except TrialFailed as error:
        curve["failed"] = {"step": trainer.step + 1, "reason": error.reason}
    curve["seconds_per_step"] = round(seconds / max(1, trainer.step), 4)
    return {"number": number} | curve


def _add(curves: dict[str, list[float]], found: Metrics) -> None:
    """Put what a scheduler may judge by behind the rungs before."""
    flat = found.flat()
    for name in OBJECTIVE.judged_by:
        curves.setdefault(name, []).append(round(flat[name], 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--space", default="mobilenet")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--data", help="labelled images, as tuning.run takes them (default: the toy city)")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--weights", default="none", help="none, zoo or a checkpoint's path")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / "studies" / "data", help="where converted data are kept"
    )
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    curves = json.loads(chosen.out.read_text()) if chosen.out.exists() else []
    missing = [n for n in range(chosen.trials) if n not in {curve["number"] for curve in curves}]
    data = open_dataset(chosen.data, chosen.cache)
    (model,) = search_spaces.get(chosen.space).models
    start = weights.resolve("auto" if chosen.weights == "zoo" else chosen.weights, model)
    conditions = Conditions(
        steps=chosen.steps,
        batch_size=chosen.batch_size,
        image_size=chosen.image_size,
        weights=InitialWeights(source=start.source, part=start.part),
    )
    if any(curve["data"] != data.fingerprint for curve in curves):
        raise SystemExit(f"{chosen.out} was recorded on other data; move it away")
    origin = {"source": "/".join(Path(start.source).parts[-2:]), "part": start.part}  # on any machine
    if any(curve["recipe"]["weights"] != origin for curve in curves):
        raise SystemExit(f"{chosen.out} was recorded from other weights; move it away")
    alone_in_process(data, chosen.cpus, 0.0)
    trainer = Recorder(data, threads=chosen.cpus)
    for number in missing:
        began = time.monotonic()
        curve = record(trainer, number, chosen.space, conditions) | {"data": data.fingerprint}
        curve["recipe"]["weights"] = origin
        curves = sorted([*curves, curve], key=lambda one: one["number"])
        lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in curves)
        write_text(chosen.out, f"[\n{lines}\n]\n")
        took = f"{curve['seconds_per_step']} CPU s a step, {time.monotonic() - began:.0f} s in all"
        mAP = [curve[statistics].get("mAP") for statistics in ("metrics", "moving_averages")]
        print(number, *mAP, curve.get("failed", ""), took, flush=True)


if __name__ == "__main__":
    main()
