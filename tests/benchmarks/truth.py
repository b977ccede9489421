"""What Optuna is told of a search: by Ray's OptunaSearch with ASHAScheduler, and by this project, on the same curves.

    .venv/bin/python tests/benchmarks/truth.py

Both run on real Ray, two workers at once, over the space `mobilenet`, whose learning curves are a formula: mAP is 0 up
to step 15 of 90, so that everybody ties at the first rung (step 10), and not a number from step 20 on where momentum
is used, as in a training that has diverged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = [str(ROOT), str(ROOT / "tests" / "tuning"), str(ROOT / "tests" / "benchmarks")]
sys.path[:0] = HERE
os.environ["PYTHONPATH"] = os.pathsep.join(HERE)

import optuna  # noqa: E402
from curve_trainer import DATASET, CurveTrainer  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import search_spaces  # noqa: E402
from search_spaces.conditions import Conditions  # noqa: E402
from trainers.detection.coco_metrics import COCO_NAMES  # noqa: E402
from trainers.metrics import Metrics  # noqa: E402
from trainers.recipe import Recipe  # noqa: E402
from tuning.execution import engine  # noqa: E402
from tuning.execution.engine import Job, Resources  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers.tpe import TPESampler  # noqa: E402
from tuning.search.schedulers.halving import Halving  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.study import manifest  # noqa: E402
from tuning.study.manifest import Manifest  # noqa: E402
from tuning.study.study import Study  # noqa: E402

OUT = Path(__file__).parent / "results" / "truth.json"
SPACE, CONDITIONS, RUNGS = search_spaces.get("mobilenet"), Conditions(steps=90), (10, 30, 90)
TRIALS, WORKERS = 40, 2


def measured(recipe: Recipe, step: int) -> tuple[float, float]:
    """mAP and validation loss of the formula."""
    if recipe.optimizer.kind == "momentum" and step >= 20:
        return math.nan, math.nan
    mean = CurveTrainer.mean_ap(recipe, step) if step > 15 else 0.0
    return mean, 2.0 - CurveTrainer.mean_ap(recipe, step)


class HardTrainer(CurveTrainer):
    """The formula as this project's Trainer. It does not raise Diverged: the number itself must be noticed."""

    def evaluate(self, images: int | None = None) -> Metrics:
        """By the formula."""
        mean, loss = measured(self._recipe, self._step)
        values = dict.fromkeys(COCO_NAMES, 0.0) | {"mAP": mean, "mAP50": mean}
        return Metrics(self._step, values, {"total": loss}, 20, 0.0)


@dataclass
class Trial:
    """What a trial did, and what Optuna holds of it.

    reached: the rungs where it had a score; last: the step at which it ended; stopped: by the scheduler, before its end.
    told: the rungs whose score Optuna was told.
    """

    reached: int
    last: int
    stopped: bool
    nan: bool
    state: str
    told: int


def ours(folder: Path) -> list[Trial]:
    """This project's search."""
    about = Manifest(
        study="truth", space="mobilenet", space_hash="", data=manifest.of_data(DATASET), preset="laptop", max_steps=90,
        image_size=None, batch_size=None, weights="none", reduction_factor=3, seed=0, versions={}, objective="mAP",
    )  # fmt: skip
    study = Study.open(folder / "truth", about)
    sampler = TPESampler(SamplerContext(lambda trial: SPACE.suggest(trial, CONDITIONS), 0, study.objective))
    search = Search(study, sampler, Halving(RUNGS, 3, 3), TRIALS)
    job = Job("detection", DATASET, factories={"mobilenet": "truth:HardTrainer"})
    engine.run(search, job, Resources(WORKERS))
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(study.folder / "optuna.journal"))
    )
    told = optuna.load_study(study_name="truth", storage=storage).trials
    found = []
    for record, trial in zip(study.records(), told, strict=True):
        assert record.verdict is not None
        state, nan = record.state, "nan" in record.verdict.reason
        found.append(
            Trial(
                len(record.rungs),
                record.verdict.step,
                state == "pruned",
                nan,
                trial.state.name,
                _scores(trial),
            )
        )
    study.close()
    return found


def suggested(trial: Any) -> None:
    """The space as Ray's searcher takes it."""
    SPACE.suggest(trial, CONDITIONS)


def stock(folder: Path) -> list[Trial]:
    """Ray's own searcher and scheduler."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    class Formula(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._recipe = SPACE.replay(new_config, CONDITIONS).recipe
            self._rungs = list(RUNGS)
            return True

        def step(self) -> dict[str, Any]:
            step = self._rungs.pop(0)
            mean, loss = measured(self._recipe, step)
            return {"mAP": mean, "mAP50": mean, "loss": loss, "step": step, "done": not self._rungs}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: Any) -> None:
            pass

    searcher = OptunaSearch(suggested, metric="mAP", mode="max", seed=0)
    analysis = tune.run(
        Formula,
        search_alg=tune.search.ConcurrencyLimiter(searcher, WORKERS),
        scheduler=ASHAScheduler("step", metric="mAP", mode="max", max_t=90, grace_period=10, reduction_factor=3),
        num_samples=TRIALS,
        resources_per_trial={"cpu": 1},
        reuse_actors=True,
        storage_path=str(folder / "ray"),
        verbose=0,
        trial_dirname_creator=str,
    )  # fmt: skip
    found = []
    for trial in analysis.trials:
        told = searcher._ot_study.trials[searcher._ot_trials[trial.trial_id].number]
        nan, last = math.isnan(trial.last_result["mAP"]), int(trial.last_result["step"])
        reached = sum(step <= last and not (nan and step >= 20) for step in RUNGS)
        found.append(Trial(reached, last, last < RUNGS[-1] and not nan, nan, told.state.name, _scores(told)))
    return found


def _scores(trial: optuna.trial.FrozenTrial) -> int:
    return sum(math.isfinite(value) for value in trial.intermediate_values.values())


def account(trials: Iterable[Trial]) -> dict[str, Any]:
    """What the benchmark counts."""
    known = list(trials)
    stopped = [trial for trial in known if trial.stopped]
    nan = [trial for trial in known if trial.nan]
    return {
        "trials": len(known),
        "states told": dict(sorted(Counter(trial.state for trial in known).items())),
        "left RUNNING": sum(trial.state == "RUNNING" for trial in known),
        "stopped early": len(stopped),
        "of them told PRUNED": sum(trial.state == "PRUNED" for trial in stopped),
        "of them with the stopping rung told": sum(trial.told == trial.reached for trial in stopped),
        "scores measured at rungs": sum(trial.reached for trial in known),
        "scores told": sum(trial.told for trial in known),
        "without a number from step 20 on": len(nan),
        "of them told FAIL": sum(trial.state == "FAIL" for trial in nan),
        "of them trained on to their end": sum(trial.last == RUNGS[-1] for trial in nan),
        "tied at mAP 0 at the first rung": len(known),
        "of them stopped there": sum(trial.last == RUNGS[0] for trial in known),
        "each": [asdict(trial) for trial in known],
    }


def table(result: dict[str, dict[str, Any]]) -> Table:
    """Both accounts, side by side."""
    shown = Table("", "OptunaSearch + ASHAScheduler", "here", title=f"{TRIALS} trials, {WORKERS} at once")
    for name in result["stock"]:
        if name != "each":
            shown.add_row(name, *(str(result[side][name]) for side in ("stock", "ours")))
    return shown


def main() -> None:
    """Run both."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        result = {"stock": account(stock(Path(name))), "ours": account(ours(Path(name)))}
    Console(width=120).print(table(result))
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
