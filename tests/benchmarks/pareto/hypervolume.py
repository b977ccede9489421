"""The hypervolume that a search with two objectives finds on analytic problems, beside Optuna's own samplers.

    .venv/bin/python tests/benchmarks/pareto/hypervolume.py --seeds 10

The problems are ZDT1, ZDT2 and ZDT3 (Zitzler, Deb and Thiele, "Comparison of Multiobjective Evolutionary Algorithms",
2000) with six variables; both objectives are minimised. Each sampler has as many evaluations. This search's TPE is
told of trials as a search tells it. The hypervolume is a share of that of the true front, with the reference point
(1.1, 6). Intervals are 95% over seeds.

"with early stopping" is a whole search, by the default scheduler on a simulated clock, with the gradient steps of as
many full trainings. There the first objective is known from the start, as a latency is, and the second is learned: it
falls to its value along a curve whose height differs from trial to trial, so that curves cross. Of its trials, those
count that are completed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tuning")]

from searches import CONDITIONS, SPACE, about  # noqa: E402

from trainers import task as tasks  # noqa: E402
from tuning.search import scheduler as schedulers  # noqa: E402
from tuning.search.limits.budget import Budget, Spending  # noqa: E402
from tuning.search.limits.meter import Meter  # noqa: E402
from tuning.search.sampler import SamplerContext  # noqa: E402
from tuning.search.samplers import tpe  # noqa: E402
from tuning.search.scheduler import Judgement, make_rung  # noqa: E402
from tuning.search.search import Search  # noqa: E402
from tuning.search.simulation.simulate import simulate  # noqa: E402
from tuning.study import pareto  # noqa: E402
from tuning.study.step_result import StepResult  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial_record import RUNG, TrialRecord  # noqa: E402

STEPS, FIRST_RUNG = 270, 30
OUT = Path(__file__).parents[1] / "results" / "hypervolume.json"
VARIABLES, REFERENCE = 6, np.array([-1.1, -6.0])
# a loss and a further objective, both as small as can be
MINIMISED = dataclasses.replace(
    tasks.get("detection").objective("validation_loss/total", ()), also=("latency_ms",)
)
Point = tuple[float, float]


def zdt(shape: Callable[[float, float], float]) -> Callable[[np.ndarray], Point]:
    """A problem of the family: the first objective is the first variable."""

    def problem(x: np.ndarray) -> Point:
        g = 1 + 9 * float(x[1:].mean())
        return float(x[0]), g * shape(float(x[0]), g)

    return problem


PROBLEMS = {
    "ZDT1": zdt(lambda f, g: 1 - (f / g) ** 0.5),
    "ZDT2": zdt(lambda f, g: 1 - (f / g) ** 2),
    "ZDT3": zdt(lambda f, g: 1 - (f / g) ** 0.5 - f / g * np.sin(10 * np.pi * f)),
}
OPTUNAS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "Optuna TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna TPE, multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "Optuna NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    "Optuna random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def by_optuna(name: str, problem: Callable[[np.ndarray], Point], seed: int, evaluations: int) -> list[Point]:
    """What one of Optuna's own samplers finds."""
    study = optuna.create_study(sampler=OPTUNAS[name](seed), directions=["minimize", "minimize"])
    study.optimize(
        lambda trial: problem(np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(VARIABLES)])),
        n_trials=evaluations,
    )
    return [(trial.values[0], trial.values[1]) for trial in study.trials]


def by_this_search(problem: Callable[[np.ndarray], Point], seed: int, evaluations: int) -> list[Point]:
    """What the sampler of a search finds, which learns each trial once it is completed."""
    recipe = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe

    def suggest(trial: optuna.Trial) -> Any:
        for i in range(VARIABLES):
            trial.suggest_float(f"x{i}", 0, 1)
        return recipe

    found: list[Point] = []
    sampler = tpe.TPESampler(SamplerContext(suggest, seed, MINIMISED))
    for number in range(evaluations):
        proposal = sampler.propose(number)
        point = problem(np.array([proposal.params[f"x{i}"] for i in range(VARIABLES)]))
        found.append(point)
        metrics = dict(zip((*MINIMISED.metrics, *MINIMISED.also), point, strict=True))
        result, score = StepResult(number, 1, "rung", metrics=metrics), MINIMISED.score(metrics)
        rung = make_rung(result, score, Judgement("continue", 1, 1, None), MINIMISED).to_dict()
        trial = create_trial(
            state=TrialState.COMPLETE, value=point[0], params=dict(proposal.params),
            distributions=dict(proposal.distributions), intermediate_values={1: point[0]},
            user_attrs={f"{RUNG}1": rung},
        )  # fmt: skip
        trial.number = number
        sampler.learn(trial)
    return found


@dataclasses.dataclass(frozen=True)
class Learned:
    """A trial's curve in the simulation: what is known at once, and what is learned to `ends` from `height` above."""

    known: float
    ends: float
    height: float
    seconds_per_step: float = 0.1

    def at(self, step: int) -> dict[str, float]:
        """The metrics at `step`."""
        left = np.exp(-3 * step / STEPS) - np.exp(-3)
        return {"validation_loss/total": self.ends + self.height * float(left), "latency_ms": self.known}


def by_stopping_early(problem: Callable[[np.ndarray], Point], seed: int, evaluations: int) -> list[Point]:
    """What a search with the default scheduler finds for the steps of so many full trainings."""
    recipe = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe

    def suggest(trial: optuna.Trial) -> Any:
        rate = trial.suggest_float("x0", 0, 1)
        for i in range(1, VARIABLES):
            trial.suggest_float(f"x{i}", 0, 1)
        # recipes differ, as those of a search do
        return recipe.model_copy(update={"gradient_clip": 1 + rate})

    class Curves:
        def curve(self, record: TrialRecord) -> Learned:
            params = study.trial(record.number).params
            x = np.array([params[f"x{i}"] for i in range(VARIABLES)])
            return Learned(*problem(x), 2 + 2 * float(np.sin(7 * x.sum())))

    with tempfile.TemporaryDirectory(prefix="pareto-") as folder:
        given = about(max_steps=STEPS, objective="validation_loss/total", also="latency_ms")
        study = Study.open(Path(folder) / "street", given, durable=False)
        sampler = tpe.TPESampler(SamplerContext(suggest, seed, study.objective))
        rule = schedulers.of_search("promote", STEPS, FIRST_RUNG, None, seed=seed)
        spending = Spending(Meter(study), Budget(trainings=evaluations), STEPS)
        simulate(Search(study, sampler, rule, None, spending=spending), Curves())
        ended = [record for record in study.records() if record.state == "completed"]
        found = [(Curves().curve(each).known, Curves().curve(each).ends) for each in ended]
        study.close()
    return found


def share(points: list[Point], problem: Callable[[np.ndarray], Point]) -> float:
    """The hypervolume of the points, as a share of the true front's."""
    front = [problem(np.array([f, *[0.0] * (VARIABLES - 1)])) for f in np.linspace(0, 1, 1001)]
    own, most = (pareto.hypervolume(-np.array(each), REFERENCE) for each in (points, front))
    return own / most


def main() -> None:
    """Run all and print the table."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--seeds", type=int, default=10)
    line.add_argument("--evaluations", type=int, default=100)
    line.add_argument("--out", type=Path, default=OUT)
    own = {"this search": by_this_search, "with early stopping": by_stopping_early}
    arms = [*own, *OPTUNAS]
    line.add_argument(
        "--arms", nargs="+", choices=arms, default=arms, metavar="ARM", help=f"of {', '.join(arms)}"
    )
    chosen = line.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    shown = Table("", *PROBLEMS, title=f"share of the true hypervolume, {chosen.evaluations} evaluations")
    result: dict[str, Any] = {"seeds": chosen.seeds, "evaluations": chosen.evaluations}
    for name in chosen.arms:
        cells = []
        for title, problem in PROBLEMS.items():
            runs = [
                own[name](problem, seed, chosen.evaluations) if name in own
                else by_optuna(name, problem, seed, chosen.evaluations)
                for seed in range(chosen.seeds)
            ]  # fmt: skip
            values = np.array([share(points, problem) for points in runs])
            half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            result.setdefault(name, {})[title] = [round(float(values.mean()), 4), round(float(half), 4)]
            cells.append(f"{values.mean():.3f} ± {half:.3f}")
        shown.add_row(name, *cells)
        Console(width=100).print(name, *cells)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
