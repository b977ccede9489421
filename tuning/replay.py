"""`python -m tuning.replay STUDY`: what a past search would have cost, and found, under other settings.

Runs the same searcher and scheduler on a simulated clock over the study's learning curves (or a JSON file of curves),
once for each seed. A proposal becomes the recorded trial that is nearest to it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.command import console_of
from tuning.search import simulation
from tuning.search.budget import duration
from tuning.search.fitting import Fitting
from tuning.search.halving import Halving, Mode, rung_steps
from tuning.search.search import Search
from tuning.search.simulation import Curve, Reached, Table
from tuning.search.tpe import Proposal, TPESampler
from tuning.study import reading
from tuning.study.manifest import Manifest
from tuning.study.study import Study


@dataclass(frozen=True)
class Rule:
    """The settings of a replayed search. tpe: whether TPE proposes; without it, at random."""

    scheduler: Mode = "stop"
    reduction_factor: int = 3
    brackets: int = 1
    trials: int = 20
    workers: int = 1
    tpe: bool = True


@dataclass(frozen=True)
class Outcome:
    """One replay.

    found: the best mAP of a trial that went to its end; regret: how far below the best of all curves that is.
    trainings: gradient steps, in full trainings; seconds: simulated; completed: trials that went to their end.
    """

    found: float
    regret: float
    trainings: float
    seconds: float
    completed: int


class NearestSampler(TPESampler):
    """Proposes what TPE does, as the nearest recorded trial."""

    table: Table

    def propose(self, number: int, fixed: Any = None) -> Proposal:
        """The nearest recorded trial to what TPE proposes."""
        return self.table.nearest(super().propose(number, fixed))


def replay(
    curves: Sequence[Curve], space: Space, conditions: Conditions, rule: Rule, seed: int
) -> tuple[Outcome, list[Reached]]:
    """One search by `rule` over the curves; its outcome and its history (simulation.simulate)."""
    best = max(curve.metrics["mAP"][-1] for curve in curves)
    factor = rule.reduction_factor
    rungs = rung_steps(conditions.steps, factor)
    table = Table(curves, space, conditions)
    startup = 8 if rule.tpe else len(curves) + 1
    sampler = NearestSampler(
        lambda trial: space.suggest(trial, conditions), seed, Fitting(space, conditions).fit, startup
    )
    sampler.table = table
    halving = Halving(rungs, factor, factor, rule.scheduler, rule.brackets, seed)
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        study = Study.open(Path(folder) / "replay", _manifest(space, conditions, seed), durable=False)
        search = Search(study, sampler, halving, min(rule.trials, len(curves)))
        history = simulation.simulate(search, table, rule.workers)
        records = study.records()
        study.close()
    ended = [record.mAP for record in records if record.state == "completed" and record.mAP is not None]
    steps = sum(record.step for record in records)
    found = max(ended, default=0.0)
    seconds = history[-1].seconds if history else 0.0
    return Outcome(found, best - found, steps / conditions.steps, seconds, len(ended)), history


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half of its 95% interval, by the normal approximation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), 1.96 * spread / math.sqrt(len(values))


def _manifest(space: Space, conditions: Conditions, seed: int) -> Manifest:
    data: dict[str, Any] = {
        "name": "curves",
        "source": "curves",
        "given": None,
        "fingerprint": "",
        "classes": [],
        "images": {},
    }
    return Manifest(
        study="replay", space=space.name, space_hash="", data=data, preset=conditions.preset,
        max_steps=conditions.steps, image_size=None, batch_size=None, weights="none", reduction_factor=3, seed=seed,
        versions={},
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser(prog="python -m tuning.replay", description=__doc__)
    parser.add_argument("study", help="its name, its folder, or a JSON file of learning curves")
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"))
    parser.add_argument("--space", help="of a file of curves")
    parser.add_argument("--trials", type=int, help="of each replay (default: as many as there are curves)")
    parser.add_argument("--scheduler", choices=get_args(Mode), default="promote")
    parser.add_argument("--reduction-factor", type=int, default=3)
    parser.add_argument("--brackets", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="propose at random instead of by TPE")
    parser.add_argument("--seeds", type=int, default=20, help="replays (default: 20)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    chosen = parser.parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    curves, space, conditions = _recorded(chosen)
    for flag in ("trials", "workers", "brackets", "seeds"):
        value = getattr(chosen, flag)
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1, not {value}")
    if chosen.reduction_factor < 2:
        raise UserError(f"--reduction-factor must be at least 2, not {chosen.reduction_factor}")
    rule = Rule(
        chosen.scheduler, chosen.reduction_factor, chosen.brackets, chosen.trials or len(curves), chosen.workers,
        not chosen.random,
    )  # fmt: skip
    outcomes = [replay(curves, space, conditions, rule, seed)[0] for seed in range(chosen.seeds)]
    console = console_of(sys.stdout)
    if chosen.format == "json":
        fields = {
            "curves": len(curves),
            "rule": asdict(rule),
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        console.print_json(json.dumps(fields))
        return 0
    for line in lines(len(curves), rule, outcomes):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def lines(curves: int, rule: Rule, outcomes: Sequence[Outcome]) -> list[str]:
    """The outcomes as a person reads them: means with 95% intervals over the seeds."""

    def mean(name: str) -> tuple[float, float]:
        return interval([getattr(outcome, name) for outcome in outcomes])

    found, regret, trainings, seconds = map(mean, ("found", "regret", "trainings", "seconds"))
    how = "TPE" if rule.tpe else "random"
    return [
        f"{len(outcomes)} replays of {rule.trials} trials over {curves} curves: {how}, {rule.scheduler}, factor "
        f"{rule.reduction_factor}, {rule.brackets} brackets, {rule.workers} workers",
        f"best mAP   {found[0]:.3f} ± {found[1]:.3f}",
        f"regret     {regret[0]:.4f} ± {regret[1]:.4f} below the best of all curves",
        f"cost       {trainings[0]:.2f} ± {trainings[1]:.2f} full trainings of gradient steps",
        f"time       {duration(seconds[0])} ± {duration(seconds[1])}, simulated",
    ]


def _recorded(chosen: argparse.Namespace) -> tuple[list[Curve], Space, Conditions]:
    path = Path(chosen.study)
    if path.is_file():
        if chosen.space is None:
            raise UserError(f"{path}: of which --space are these curves?")
        curves = simulation.read_curves(path)
        return curves, search_spaces.get(chosen.space), Conditions(steps=curves[0].recipe.steps)
    found = reading.read(chosen.study, chosen.studies_dir)
    params = {trial.number: trial.params for trial in found.trials}
    curves = simulation.of_records(found.records, params, found.manifest.max_steps)
    return curves, search_spaces.get(found.manifest.space), found.manifest.conditions()


if __name__ == "__main__":
    sys.exit(main())
