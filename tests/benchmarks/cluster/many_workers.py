"""What the driver of a search with 64 and 256 workers takes of a core, and how long a proposal lasts.

    .venv/bin/python tests/benchmarks/cluster/many_workers.py --minutes 10

The real search, sampler, scheduler and storage run on a simulated clock: the workers' trials take --minutes when they
are trained to their end, and their curves are formulas. Ray's messages are not sent; what a trial of a real search costs
its driver besides, for Ray and the files, is measured beforehand, and added.
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

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / each) for each in ("", "tests/tuning", "tests/benchmarks")]
from curve_trainer import CurveTrainer  # noqa: E402
from machine import Others, machine  # noqa: E402
from searches import CONDITIONS, SPACE, about  # noqa: E402

from trainers import recipe as recipes  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers.tpe import TPESampler  # noqa: E402
from tuning.search.scheduler import rung_steps  # noqa: E402
from tuning.search.schedulers.halving import Halving  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.search.simulation.curves import Curve  # noqa: E402
from tuning.search.simulation.simulate import simulate  # noqa: E402
from tuning.search.space_adapter import SpaceAdapter  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial_record import TrialRecord  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "results" / "many_workers.json"
STEPS, RUNGS = 90, rung_steps(90)


class Formulas:
    """The curve of any trial; it takes `seconds` to its end."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def curve(self, record: TrialRecord) -> Curve:
        """See tuning.search.simulation.simulate.Curves."""
        recipe = recipes.build(dict(record.recipe))
        means = [CurveTrainer.mean_ap(recipe, step) for step in RUNGS]
        metrics = {"mAP": means, "mAP50": means, "validation_loss/total": [2 - mean for mean in means]}
        metrics |= {f"metric {i}": [0.123456] * len(RUNGS) for i in range(15)}  # as many as a detector has
        return Curve(recipe, {}, RUNGS, metrics, self._seconds / STEPS)


class Timed(Search):
    """Notes how long each proposal lasts."""

    lasted: list[float]

    def propose(self) -> TrialRecord | None:
        """See Search."""
        began = time.perf_counter()
        found = super().propose()
        if found is not None:
            self.lasted.append(time.perf_counter() - began)
        return found


def simulated(folder: Path, workers: int, trials: int, seconds: float) -> dict[str, Any]:
    """A search with so many workers."""
    study = Study.open(folder, about(study="many"))
    adapt = SpaceAdapter(SPACE, CONDITIONS).adapt
    context = SamplerContext(lambda trial: SPACE.suggest(trial, CONDITIONS), 0, study.objective, adapt)
    search = Timed(study, TPESampler(context), Halving(RUNGS, 3, 1), trials)
    search.lasted = []
    began = time.process_time()
    history = simulate(search, Formulas(seconds), workers)
    used = time.process_time() - began
    study.close()
    lasted = np.array(search.lasted) * 1e3
    return {
        "workers": workers, "trials": trials, "rungs": len(history), "simulated seconds": round(history[-1].seconds),
        "CPU seconds": round(used, 1), "proposals": len(lasted),
        "proposal p50 ms": round(float(np.percentile(lasted, 50)), 1),
        "proposal p95 ms": round(float(np.percentile(lasted, 95)), 1), "proposal most ms": round(float(lasted.max())),
    }  # fmt: skip


def of_ray(folder: Path, trials: int) -> float:
    """CPU seconds that the driver of a real search takes for a trial, of trials that take no time."""
    words = ["--space", "mobilenet", "--trainer", "curve_trainer:CurveTrainer", "--studies-dir", str(folder)]
    words += ["--max-steps", str(STEPS), "--workers", "2", "--cpus-per-trial", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path[:3])}

    def used(count: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        line = [sys.executable, "-m", "tuning.run", *words, "--study", f"of-{count}", "--trials", str(count)]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    few = used(2)
    return (used(trials) - few) / (trials - 2)


def main() -> None:
    """Measure, print and keep the result."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--minutes", type=float, default=10.0, help="of a full trial")
    line.add_argument("--trials", type=int, default=10, help="for each worker")
    line.add_argument("--workers", type=int, nargs="+", default=[64, 256])
    chosen = line.parse_args()
    others = Others()
    with tempfile.TemporaryDirectory() as name:
        each = of_ray(Path(name) / "real", 200)
        rows = []
        for workers in chosen.workers:
            folder = Path(name) / str(workers)
            row = simulated(folder, workers, chosen.trials * workers, 60 * chosen.minutes)
            share = (row["CPU seconds"] + each * row["trials"]) / row["simulated seconds"]
            rows.append(row | {"cores of the driver": round(share, 3)})
            print(rows[-1], flush=True)
    result = {
        "machine": machine(), "others_cores": round(others.cores(), 2), "minutes of a full trial": chosen.minutes,
        "CPU seconds of the driver for a trial of a real search, at most": round(each, 3), "searches": rows,
    }  # fmt: skip
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
