"""What a search costs until it has found a detector as good as random search's best: replayed on recorded curves.

    .venv/bin/python tests/benchmarks/efficiency.py --seeds 40
    .venv/bin/python tests/benchmarks/efficiency.py --seeds 40 --curves raccoon_curves.json --out raccoon.json

The curves are recording.py's: real trials of one detector, drawn at random from its space, each trained to its end;
those here are of MobileNet on the toy city. For each seed, random search trains so many of them in full, and its best
mAP is the target. The others run until one of their trials has reached the target at its end; a search that has ended
without is counted as having trained every curve in full. Costs are gradient steps, in full trainings. A proposal
becomes the nearest recorded trial, whose parameters the sampler is then told, here and in the stock search alike. Both
see the same curves: once with the statistics of batch normalisation that an evaluation here estimates anew (its cost is
added to both), and once with the moving averages that training left.

"stock" drives Ray's own OptunaSearch and ASHAScheduler objects, in the order in which Ray Tune calls them.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Shown

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import search_spaces  # noqa: E402
from search_spaces.conditions import Conditions  # noqa: E402
from search_spaces.space import Space  # noqa: E402
from trainers.metrics import TOTAL_LOSS  # noqa: E402
from tuning.api.replaying import Rule, replay  # noqa: E402
from tuning.search.scheduler import rung_steps  # noqa: E402
from tuning.search.simulation import Curve, RungReached, Table, read_curves  # noqa: E402
from tuning.study.proposal import Proposal  # noqa: E402

CURVES = Path(__file__).with_name("mobilenet_curves.json")
OUT = Path(__file__).parent / "results" / "efficiency.json"
# what the forward passes over 48 images cost that estimate statistics anew, in gradient steps: a third of one each
STATISTICS_STEPS = 4
IN_ALL = ("mAP", "mAP50", TOTAL_LOSS)  # the parts of the loss were recorded of the later curves only
BUDGETS = (5, 10, 20)  # full trainings, at which the regret is told
History = list[RungReached]


def recorded(path: Path, moving_averages: bool = False) -> list[Curve]:
    """The curves that did not fail. moving_averages: at all rungs but the last measured as the API does."""
    curves = []
    for curve, fields in zip(read_curves(path), json.loads(path.read_text(encoding="utf-8")), strict=True):
        if "failed" in fields:
            continue
        metrics = {name: curve.metrics[name] for name in IN_ALL}
        if moving_averages:
            before = fields["moving_averages"]
            metrics = {name: [*before[name][:-1], values[-1]] for name, values in metrics.items()}
        curves.append(replace(curve, metrics=metrics))
    return curves


def searched(curves: Sequence[Curve]) -> tuple[Space, Conditions]:
    """The space that they were drawn from, and the conditions that they share."""
    recipe = curves[0].recipe
    conditions = Conditions(
        steps=recipe.steps, image_size=recipe.image_size, batch_size=recipe.batch_size, weights=recipe.weights
    )
    return search_spaces.get(recipe.model), conditions


def here(curves: Sequence[Curve], seed: int, **rule: Any) -> History:
    """This project's search over all curves."""
    return replay(curves, *searched(curves), Rule(trials=len(curves), published=False, **rule), seed)[1]


def with_statistics(history: History) -> History:
    """The history with what estimating statistics at each rung costs."""
    return [
        one._replace(taken=one.taken + STATISTICS_STEPS * count) for count, one in enumerate(history, start=1)
    ]


def stock(curves: Sequence[Curve], seed: int) -> History:
    """Ray's OptunaSearch and ASHAScheduler over all curves, with the same rungs and factor, one trial after another."""
    import optuna
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    np.random.seed(seed)  # the scheduler draws its brackets from it
    space, conditions = searched(curves)
    rungs = rung_steps(conditions.steps)

    def suggested(trial: Any) -> None:
        space.suggest(trial, conditions)

    searcher = OptunaSearch(suggested, metric="mAP", mode="max", seed=seed)
    # it takes a report at or after a rung of its own for one at the rung: its 33 and 99 are the 34 and 100 here
    scheduler = ASHAScheduler(
        "step", metric="mAP", mode="max", max_t=rungs[-1], grace_period=rungs[-1] // 9, reduction_factor=3
    )
    table, history, taken = Table(curves, space, conditions), [], 0
    for number in range(len(curves)):
        trial = SimpleNamespace(trial_id=str(number))
        scheduler.on_trial_add(None, trial)
        searcher.suggest(trial.trial_id)
        curve = _as_recorded(searcher._ot_trials[trial.trial_id], table)
        before = 0
        for iteration, step in enumerate(rungs, start=1):
            taken, before = taken + step - before, step
            result = {"training_iteration": iteration, "step": step, "mAP": curve.at(step)["mAP"]}
            history.append(RungReached(0.0, taken, number, step, result["mAP"]))
            if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                searcher.on_trial_complete(trial.trial_id, result)
                break
            searcher.on_trial_result(trial.trial_id, result)
    return history


def _as_recorded(trial: Any, table: Table) -> Curve:
    nearest = table.nearest(Proposal(None, trial.params, trial.distributions))  # type: ignore[arg-type]
    frozen = trial.storage._get_trial(trial._trial_id)  # kept in memory
    frozen.params, frozen.distributions = dict(nearest.params), dict(nearest.distributions)
    return table._taken[nearest.recipe.recipe_id]


def reached(history: History, steps: int, target: float, otherwise: float) -> float:
    """Full trainings, of so many steps, until a trial had the target at its end."""
    for one in history:
        if one.step == steps and one.value >= target:
            return one.taken / steps
    return otherwise


def best_within(history: History, steps: int, budget: float) -> float:
    """The best final mAP of what so many full trainings pay for."""
    return max(
        (one.value for one in history if one.step == steps and one.taken <= budget * steps), default=0.0
    )


SEARCHES: dict[str, Callable[..., History]] = {
    "stock": stock,
    "stop": functools.partial(here, scheduler="stop"),
    "promote": functools.partial(here, scheduler="promote"),
    "promote, random proposals": functools.partial(here, scheduler="promote", sampler="random"),
}


def one_seed(path: Path, randoms: Sequence[int], seed: int) -> dict[str, Any]:
    """Every search with one seed: its cost for each target, and its best within each budget."""
    warnings.simplefilter("ignore")
    curves = recorded(path)
    final, steps = [curve.metrics["mAP"][-1] for curve in curves], curves[0].recipe.steps
    order = random.Random(seed).sample(final, len(final))
    found: dict[str, Any] = {
        "random, in full": {
            "cost": {count: float(count) for count in randoms},
            "best": {count: max(order[:count]) for count in BUDGETS},
        }
    }
    for name, search in SEARCHES.items():
        histories = {
            name: with_statistics(search(curves, seed)),
            f"{name}, moving averages": search(recorded(path, moving_averages=True), seed),
        }
        for which, history in histories.items():
            found[which] = {
                "cost": {count: reached(history, steps, max(order[:count]), len(final)) for count in randoms},
                "best": {budget: best_within(history, steps, budget) for budget in BUDGETS},
            }
    return found


def ratio(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Mean of `one` over mean of `other`, with its 95% interval by the bootstrap over seeds."""
    a, b = np.array(one), np.array(other)
    draws = np.random.default_rng(0).integers(0, len(a), (5000, len(a)))
    low, high = np.percentile(a[draws].mean(axis=1) / b[draws].mean(axis=1), (2.5, 97.5))
    return [round(float(value), 2) for value in (a.mean() / b.mean(), low, high)]


def summary(seeds: list[dict[str, Any]], randoms: Sequence[int], best: float) -> dict[str, Any]:
    """For each search: how many times cheaper it is than the random one and than the stock one, and its regrets."""
    rows = {}
    for name in seeds[0]:
        row: dict[str, Any] = {}
        for count in randoms:
            costs = {other: [seed[other]["cost"][count] for seed in seeds] for other in seeds[0]}
            row[f"cost, best of {count}"] = round(float(np.mean(costs[name])), 2)
            row[f"times cheaper than random, best of {count}"] = ratio(costs["random, in full"], costs[name])
            row[f"times cheaper than stock, best of {count}"] = ratio(costs["stock"], costs[name])
        for budget in BUDGETS:
            regrets = [best - seed[name]["best"][budget] for seed in seeds]
            half = 1.96 * float(np.std(regrets, ddof=1)) / len(regrets) ** 0.5
            row[f"regret after {budget}"] = [round(float(np.mean(regrets)), 4), round(half, 4)]
        rows[name] = row
    return rows


def tables(rows: dict[str, Any], randoms: Sequence[int]) -> list[Shown]:
    """As a person reads it."""
    shown = []
    for versus in ("random", "stock"):
        one = Shown(
            "", *(f"best of {count}" for count in randoms), title=f"times cheaper than {versus}, to reach the"
        )
        for name, row in rows.items():
            cells = [row[f"times cheaper than {versus}, best of {count}"] for count in randoms]
            one.add_row(name, *(f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in cells))
        shown.append(one)
    regret = Shown(
        "", *(f"{budget} trainings" for budget in BUDGETS), title="regret in mAP after a budget of"
    )
    for name, row in rows.items():
        regret.add_row(
            name, *("{:.4f} ± {:.4f}".format(*row[f"regret after {budget}"]) for budget in BUDGETS)
        )
    return [*shown, regret]


def main() -> None:
    """Replay, print the tables and write the JSON."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--seeds", type=int, default=40)
    line.add_argument("--processes", type=int, default=1)
    line.add_argument("--curves", type=Path, default=CURVES)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    curves = recorded(chosen.curves)
    final = sorted((curve.metrics["mAP"][-1] for curve in curves), reverse=True)
    randoms = [*(count for count in (10, 20, 40) if count < len(curves)), len(curves)]
    with ProcessPoolExecutor(chosen.processes) as pool:
        seeds = list(pool.map(functools.partial(one_seed, chosen.curves, randoms), range(chosen.seeds)))
    rows = summary(seeds, randoms, final[0])
    console = Console(width=130)
    console.print(f"{len(curves)} curves, final mAP {final[0]:.3f}, {final[1]:.3f}, {final[2]:.3f} ... {final[-1]:.3f}; "
                  f"{chosen.seeds} seeds")  # fmt: skip
    for shown in tables(rows, randoms):
        console.print(shown)
    chosen.out.parent.mkdir(exist_ok=True)
    result = {"curves": len(curves), "final": final, "seeds": chosen.seeds, "searches": rows, "each": seeds}
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
