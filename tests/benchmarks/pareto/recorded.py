"""The hypervolume that a search with two objectives finds on recorded detectors, with early stopping and without.

    .venv/bin/python tests/benchmarks/pareto/recorded.py --seeds 20

The curves are recording.py's: 62 real trials of MobileNet on the toy city, drawn at random from its space. The first
objective is their mAP, as it was measured at each rung; the second, known from the start as a latency is, the recorded
time of a gradient step, which differs by the recipe's augmentations and optimizer. A proposal becomes the nearest
recorded trial that is not yet taken, for all arms. Each arm has the gradient steps of as many full trainings; of its
trials those count that are completed. The hypervolume is a share of that of all 62, from a mAP of 0 and the slowest
step. Intervals are 95% over seeds, the differences paired.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table as Shown

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from efficiency import CURVES, recorded, searched  # noqa: E402

from trainers import task as tasks  # noqa: E402
from tuning.api.replaying import Rule, interval, simulated  # noqa: E402
from tuning.search.constraints.limit import LATENCY  # noqa: E402
from tuning.search.simulation import Curve, Table  # noqa: E402
from tuning.study import pareto  # noqa: E402
from tuning.study.proposal import Proposal  # noqa: E402

OUT = Path(__file__).parents[1] / "results" / "pareto_recorded.json"
OBJECTIVE = dataclasses.replace(tasks.get("detection").objective(None, ()), also=(LATENCY,))
Arm = Callable[
    [Sequence[Curve], int, int], list[Curve]
]  # curves, seed, full trainings -> those that it completes


def timed() -> list[Curve]:
    """The recorded curves with their time of a step as a second objective."""
    return [
        dataclasses.replace(
            curve, metrics={**curve.metrics, LATENCY: [1000 * curve.seconds_per_step] * len(curve.steps)}
        )
        for curve in recorded(CURVES)
    ]


def replayed(curves: Sequence[Curve], seed: int, trainings: int, sampler: str, scheduler: str) -> list[Curve]:
    """This project's search."""
    rule = Rule(scheduler, trials=len(curves), sampler=sampler, published=False, like=trainings)
    by_id = {curve.recipe.recipe_id: curve for curve in curves}
    with tempfile.TemporaryDirectory(prefix="pareto-") as folder:
        study, _ = simulated(Path(folder) / "street", curves, *searched(curves), rule, seed, OBJECTIVE)
        ended = [by_id[record.recipe_id] for record in study.records() if record.state == "completed"]
        study.close()
    return ended


def by_optuna(curves: Sequence[Curve], seed: int, trainings: int, multivariate: bool) -> list[Curve]:
    """Optuna's TPE, told both objectives of trials that are trained in full."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    space, conditions = searched(curves)
    table, found = Table(curves, space, conditions), []
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate, group=multivariate)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    for _ in range(trainings):
        asked = study.ask()
        space.suggest(asked, conditions)
        nearest = table.nearest(Proposal(None, asked.params, asked.distributions))  # type: ignore[arg-type]
        curve = next(curve for curve in curves if curve.params == nearest.params)
        kept = study._storage._get_trial(asked._trial_id)  # type: ignore[attr-defined] # in memory
        kept.params, kept.distributions = dict(nearest.params), dict(nearest.distributions)
        study.tell(asked, values(curve))
        found.append(curve)
    return found


ARMS: dict[str, Arm] = {
    "this search": functools.partial(replayed, sampler="tpe", scheduler="promote"),
    "its TPE, all trained in full": functools.partial(replayed, sampler="tpe", scheduler="full"),
    "random, early stopping": functools.partial(replayed, sampler="random", scheduler="promote"),
    "random, all trained in full": functools.partial(replayed, sampler="random", scheduler="full"),
    "Optuna TPE": functools.partial(by_optuna, multivariate=False),
    "Optuna TPE, multivariate and grouped": functools.partial(by_optuna, multivariate=True),
}


def values(curve: Curve) -> tuple[float, float]:
    """mAP at the end, and milliseconds of a step."""
    return curve.metrics["mAP"][-1], curve.metrics[LATENCY][-1]


def share(found: Sequence[Curve], curves: Sequence[Curve]) -> float:
    """The hypervolume of what was found, as a share of that of all curves."""
    reference = np.array([0.0, -max(values(curve)[1] for curve in curves)])
    own, most = (
        pareto.hypervolume(np.array([values(curve) for curve in each]).reshape(-1, 2) * (1, -1), reference)
        for each in (found, curves)
    )
    return own / most


def run(task: tuple[str, int, int]) -> float:
    """One arm with one seed and one budget."""
    name, seed, trainings = task
    curves = timed()
    return share(ARMS[name](curves, seed, trainings), curves)


def main() -> None:
    """Run all and print the table."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--seeds", type=int, default=20)
    line.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 20], help="full trainings")
    line.add_argument("--processes", type=int, default=2)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    shown = Shown("", *(f"{budget} trainings" for budget in chosen.budgets))
    result: dict[str, Any] = {"seeds": chosen.seeds}
    with ProcessPoolExecutor(chosen.processes) as pool:
        for name in ARMS:
            cells = []
            for budget in chosen.budgets:
                got = np.array(list(pool.map(run, [(name, seed, budget) for seed in range(chosen.seeds)])))
                result.setdefault(name, {})[str(budget)] = [round(float(each), 4) for each in got]
                mean, half = interval(list(got))
                cell = f"{mean:.3f} ± {half:.3f}"
                if name != "this search":
                    than = interval(list(np.array(result["this search"][str(budget)]) - got))
                    cell += f" ({than[0]:+.3f} ± {than[1]:.3f})"
                cells.append(cell)
            shown.add_row(name, *cells)
            Console(width=140).print(name, *cells)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=140).print(shown)


if __name__ == "__main__":
    main()
