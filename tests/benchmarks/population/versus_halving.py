"""Population based training beside the default search and full trainings, at equal budgets of gradient steps.

    .venv/bin/python tests/benchmarks/population/versus_halving.py
    .venv/bin/python tests/benchmarks/population/versus_halving.py --seeds 5 --budgets 10 --problems drift

Searches of the space `mobilenet` on a simulated clock; what a trial has learned goes on from a checkpoint:

- drift: the best learning rate falls by a factor of 13 during the training (tests/tuning/curve_trainer.py). The
  schedules of the space can follow that, more or less.
- drift, constant: the same, and all recipes have a constant rate. So none is good to the end, and only a change on the
  way helps: what population based training was made for.
- curve: each step adds what the recipe's curve rises by (tests/tuning/curve_trainer.py): the best rate stays the same.
- noisy quadratic: the loss of SGD on a quadratic bowl with noisy gradients, expected values in closed form (Zhang et
  al., "Which Algorithmic Choices Matter at Which Batch Sizes?", NeurIPS 2019; 100 dimensions, curvatures 1 to 1/100).
  A smaller rate lowers the loss at once and slows what follows: the short-horizon bias (Wu et al., "Understanding
  Short-Horizon Bias in Stochastic Meta-Optimization", ICLR 2018), by which whoever judges early is misled.

Every measurement has noise (a standard deviation of .01), which the search sees; what counts is the winner's value
without it. Each arm may take the steps of so many full trainings; a population has so many members. Intervals are 95%,
over seeds; the differences are paired by seed.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning")]

import numpy as np  # noqa: E402
from curve_trainer import CurveTrainer, gain  # noqa: E402
from searches import OBJECTIVE, SPACE, about  # noqa: E402

from search_spaces.conditions import Conditions  # noqa: E402
from trainers import recipe as recipes  # noqa: E402
from trainers.recipe import Recipe  # noqa: E402
from tuning.api.replaying import interval  # noqa: E402
from tuning.search import sampler as samplers  # noqa: E402
from tuning.search import scheduler as schedulers  # noqa: E402
from tuning.search.limits.budget import Budget, Spending  # noqa: E402
from tuning.search.limits.meter import Meter  # noqa: E402
from tuning.search.population.bandit import explorer_of  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.search.simulation.simulate import simulate  # noqa: E402
from tuning.study import trial_record  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial_record import TrialRecord  # noqa: E402

OUT = Path(__file__).parents[1] / "results" / "population.json"
STEPS, FIRST_RUNG, NOISE = 270, 30, 0.01
GRADIENT_NOISE, DECADES = 0.1, 3.0
ARMS = {
    "tpe, promote": ("tpe", "promote"),
    "tpe, full": ("tpe", "full"),
    "random, full": ("random", "full"),
    "tpe, pbt": ("tpe", "pbt"),
    "random, pbt": ("random", "pbt"),
    "tpe, pb2": ("tpe", "pb2"),
    "random, pb2": ("random", "pb2"),
}
DEFAULT = "tpe, promote"


State = np.ndarray  # float, what a training has come to


class Sum:
    """A problem whose state is the value itself, to which each step adds."""

    start = np.zeros(1)

    def __init__(self, adds: Callable[[Recipe, int], float]) -> None:
        self._adds = adds

    def after(self, state: State, recipe: Recipe, step: int) -> State:
        """The state after step number `step` (from 0)."""
        return state + self._adds(recipe, step)

    def value(self, state: State) -> float:
        """The objective, 0 to 1."""
        return float(state[0])


def drifting(recipe: Recipe, step: int) -> float:
    """What step number `step` (from 0) adds."""
    return gain(recipe.learning_rate(step), step / recipe.steps) / recipe.steps


def rising(recipe: Recipe, step: int) -> float:
    """What step number `step` (from 0) adds."""
    return CurveTrainer.mean_ap(recipe, step + 1) - CurveTrainer.mean_ap(recipe, step)


class NoisyQuadratic:
    """See the module. The state is the expected square of each coordinate; each optimizer's largest rate is LARGEST.

    The value is the share of three decades by which the loss has fallen.
    """

    start = np.ones(100)
    curvature = 1.0 / np.arange(1, 101)
    LARGEST = 1.5
    HIGHEST = {"adam": 0.004, "momentum": 0.1, "rms_prop": 0.03}  # of the space's ranges

    def after(self, state: State, recipe: Recipe, step: int) -> State:
        """The state after step number `step` (from 0)."""
        rate = self.LARGEST * recipe.learning_rate(step) / self.HIGHEST[recipe.optimizer.kind]
        curvature = self.curvature
        return (1 - rate * curvature) ** 2 * state + rate**2 * curvature * GRADIENT_NOISE

    def value(self, state: State) -> float:
        """The objective, 0 to 1."""
        fallen = -np.log10((self.curvature * state).sum() / self.curvature.sum())
        return float(np.clip(fallen / DECADES, 0.0, 1.0))


CONSTANT = (("schedule", ("constant",)),)
PROBLEMS: dict[str, tuple[Sum | NoisyQuadratic, Conditions]] = {
    "drift": (Sum(drifting), Conditions(steps=STEPS)),
    "drift, constant": (Sum(drifting), Conditions(steps=STEPS, only=CONSTANT)),
    "curve": (Sum(rising), Conditions(steps=STEPS)),
    "noisy quadratic": (NoisyQuadratic(), Conditions(steps=STEPS)),
}


@dataclass
class Learned:
    """What a trial has learned by each step; a simulation's Curve."""

    states: Sequence[State]  # after 0, 1, ... steps
    value: Callable[[State], float]
    noise: Callable[[int], float]
    seconds_per_step: float = 0.1

    def at(self, step: int) -> dict[str, float]:
        """The metrics at `step`."""
        seen = self.value(self.states[step]) + self.noise(step)
        return {"mAP": seen, "mAP50": seen, "validation_loss/total": 2.0 - seen}


class Weights:
    """The simulation's Curves: each trial goes on from what the trial has learned whose weights it took."""

    def __init__(self, study: Study, problem: Sum | NoisyQuadratic, seed: int) -> None:
        self._study, self._problem, self._seed = study, problem, seed
        self._known: dict[int, Learned] = {}

    def curve(self, record: TrialRecord) -> Learned:
        """That of a trial of the search."""
        if record.number not in self._known:
            states = [self._problem.start]
            if record.fork is not None:
                states = list(self.curve(self._study.record(record.fork.of)).states[: record.fork.step + 1])
            recipe = recipes.build(dict(record.recipe))
            for step in range(len(states) - 1, STEPS):
                states.append(self._problem.after(states[-1], recipe, step))
            noise = functools.partial(self._noise, record.number)
            self._known[record.number] = Learned(states, self._problem.value, noise)
        return self._known[record.number]

    def _noise(self, number: int, step: int) -> float:
        return random.Random(f"{self._seed} {number} {step}").gauss(0.0, NOISE)


def found(problem: str, arm: str, budget: int, workers: int, seed: int) -> tuple[float, float]:
    """The winner's value without noise, and the trainings that the search took."""
    chosen, conditions = PROBLEMS[problem]
    sampler, scheduler = ARMS[arm]
    context = SamplerContext(lambda trial: SPACE.suggest(trial, conditions), seed, OBJECTIVE)
    trials = None if scheduler == "promote" else budget
    rule = schedulers.of_search(scheduler, STEPS, FIRST_RUNG, trials, seed=seed)
    with tempfile.TemporaryDirectory(prefix="population-") as folder:
        study = Study.open(Path(folder) / "street", about(max_steps=STEPS), durable=False)
        spending = Spending(Meter(study), Budget(trials=trials, trainings=budget), STEPS)
        search = Search(
            study, samplers.make(sampler, context), rule, trials, spending=spending,
            explorer=explorer_of(scheduler, lambda trial: SPACE.suggest(trial, conditions), seed),
        )  # fmt: skip
        weights = Weights(study, chosen, seed)
        simulate(search, weights, workers)  # type: ignore[arg-type]
        best = trial_record.best([r for r in study.records() if r.state == "completed"])
        taken = sum(record.spent.steps for record in study.records()) / STEPS
        value = 0.0 if best is None else chosen.value(weights.curve(best).states[STEPS])
        study.close()
    return value, taken


def main() -> None:
    """Run the benchmark, print its table and write its results."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--seeds", type=int, default=30)
    line.add_argument("--budgets", type=int, nargs="*", default=[5, 10, 20])
    line.add_argument("--workers", type=int, nargs="*", default=[1, 4])
    line.add_argument("--problems", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    line.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    line.add_argument("--out", type=Path, default=OUT)
    given = line.parse_args()
    results: list[dict[str, Any]] = []
    for problem in given.problems:
        for workers in given.workers:
            for budget in given.budgets:
                values: dict[str, list[float]] = {}
                for arm in given.arms:
                    runs = [found(problem, arm, budget, workers, seed) for seed in range(given.seeds)]
                    values[arm] = [value for value, _ in runs]
                    mean, half = interval(values[arm])
                    lead = interval([a - b for a, b in zip(values[arm], values[given.arms[0]], strict=True)])
                    taken = interval([taken for _, taken in runs])[0]
                    print(
                        f"{problem}, {workers} workers, {budget} trainings: {arm:14} {mean:.3f} ± {half:.3f}"
                        f"   {lead[0]:+.3f} ± {lead[1]:.3f} to {given.arms[0]}   took {taken:.2f}",
                        flush=True,
                    )
                    results.append({
                        "problem": problem, "workers": workers, "trainings": budget, "arm": arm, "seeds": given.seeds,
                        "value": mean, "half": half, "lead": lead[0], "lead_half": lead[1], "taken": taken,
                    })  # fmt: skip
    given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
