"""Replay: simulates a search under other settings, with its real sampler and scheduler, over recorded curves."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial
from scipy.special import stdtrit

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Seed, Space
from trainers import task as tasks
from trainers.errors import UserError
from trainers.objective import Objective
from tuning.api.deployment import costing
from tuning.search import sampler as samplers
from tuning.search import scheduler as schedulers
from tuning.search import simulation
from tuning.search.constraints import limit, served_costs
from tuning.search.constraints.limit import Limit
from tuning.search.constraints.served_costs import NO_COSTS, ServedCosts
from tuning.search.limits.budget import Budget, Spending, duration
from tuning.search.limits.meter import Meter
from tuning.search.population.requirements import POPULATIONS
from tuning.search.sampler import Sampler
from tuning.search.search import Search
from tuning.search.simulation import Curve, RungReached, Table
from tuning.search.space_adapter import SpaceAdapter
from tuning.study import reading
from tuning.study.manifest import Manifest
from tuning.study.proposal import Proposal
from tuning.study.study import Study


@dataclass(frozen=True)
class Rule:
    """The settings of a replayed search.

    scheduler, sampler: their names. trials: at most. workers: simulated ones. published: whether the published recipes
    are among the trials, as in a search. like: gradient steps of all trials, in full-length trials; None for no limit.
    limits: on what the networks may cost when they are served.
    """

    scheduler: str = "stop"
    reduction_factor: int = 3
    brackets: int = 1
    trials: int = 20
    workers: int = 1
    sampler: str = "tpe"
    published: bool = True
    like: float | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The result of one replay.

    found: the best objective of a completed trial; None if none was completed. regret: its difference to the best of
    all curves.
    trainings: gradient steps, in full-length trials. seconds: simulated. completed: number of completed trials.
    """

    found: float | None
    regret: float | None
    trainings: float
    seconds: float
    completed: int


class NearestSampler:
    """Wraps a sampler: replaces each proposal by the nearest recorded trial."""

    def __init__(self, sampler: Sampler, table: Table) -> None:
        self._sampler = sampler
        self._table = table

    def learn(self, trial: FrozenTrial) -> None:
        """Pass the trial to the wrapped sampler."""
        self._sampler.learn(trial)

    def propose(self, number: int, fixed: Mapping[str, Any] | None = None) -> Proposal:
        """The recorded trial nearest to the wrapped sampler's proposal."""
        return self._table.nearest(self._sampler.propose(number, fixed))


def replay(
    curves: Sequence[Curve],
    space: Space,
    conditions: Conditions,
    rule: Rule,
    seed: int,
    objective: Objective | None = None,
    costs: ServedCosts = NO_COSTS,
    first: Sequence[Seed] = (),
) -> tuple[Outcome, list[RungReached]]:
    """Simulate one search over the curves. Returns its outcome and its history (simulation.simulate).

    It has the published recipes, the quorum and the seeds of a search with these settings. So a study of one worker,
    replayed under its own settings and seed, takes the same decisions; with more, events come in a simulated order.
    objective: None for the default of the space's task. seed: of the search. costs: of the networks that may be limited.
    first: recipes to propose before the published ones.
    """
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        asked = curves, space, conditions, rule, seed, objective, costs, first
        study, history = simulated(Path(folder) / "replay", *asked)
        objective, records = study.objective, study.records()
        study.close()
    ends = [value for curve in curves if (value := objective.value(curve.at(curve.steps[-1]))) is not None]
    ends = [value for value in ends if math.isfinite(value)]  # the others have failed
    best = min(ends) if objective.direction == "minimize" else max(ends)
    ended = [r.value for r in records if r.state == "completed" and r.value is not None]
    steps = sum(record.step for record in records)
    found = (min if objective.direction == "minimize" else max)(ended, default=None)
    seconds = history[-1].seconds if history else 0.0
    return Outcome(
        found, None if found is None else abs(best - found), steps / conditions.steps, seconds, len(ended)
    ), history


def simulated(
    folder: Path,
    curves: Sequence[Curve],
    space: Space,
    conditions: Conditions,
    rule: Rule,
    seed: int,
    objective: Objective | None = None,
    costs: ServedCosts = NO_COSTS,
    first: Sequence[Seed] = (),
) -> tuple[Study, list[RungReached]]:
    """The study of a simulated search, open, in a new `folder`; and its history. Arguments as for `replay`."""
    objective = objective or tasks.get(space.task).objective(None, ())
    if rule.scheduler in POPULATIONS:
        raise UserError(
            f"--scheduler {rule.scheduler}: learning curves do not tell how a trial goes on from another's weights; "
            "replay promote, stop or full"
        )
    given = rule.trials, rule.reduction_factor, rule.brackets, seed
    scheduler = schedulers.of_search(rule.scheduler, conditions.steps, space.first_rung, *given)
    table = Table(curves, space, conditions)
    context = samplers.SamplerContext(
        lambda trial: space.suggest(trial, conditions), seed, objective, SpaceAdapter(space, conditions).adapt
    )
    seeds = [*first, *(space.seeds(conditions) if rule.published else [])]
    proposing = samplers.make(rule.sampler, context)
    proposing, seeds = costing.within_limits(proposing, seeds, costs, rule.limits, space, conditions)
    sampler, trials = NearestSampler(proposing, table), min(rule.trials, len(curves))
    study = Study.open(folder, _manifest(space, conditions, seed, objective), durable=False)
    spending = Spending(Meter(study), Budget(trainings=rule.like), conditions.steps)
    search = Search(study, sampler, scheduler, trials, seeds, spending=spending)
    return study, simulation.simulate(search, table, rule.workers)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the half-width of its 95% confidence interval (Student's t); 0 of a single value."""
    if len(values) < 2:
        return statistics.fmean(values), 0.0
    quantile = float(stdtrit(len(values) - 1, 0.975))
    return statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))


def _manifest(space: Space, conditions: Conditions, seed: int, objective: Objective) -> Manifest:
    data: dict[str, Any] = {
        "name": "curves",
        "source": "curves",
        "given": None,
        "fingerprint": "",
        "classes": [name.partition("/")[2] for name in objective.metrics if "/" in name],
        "images": {},
    }
    return Manifest(
        study="replay", space=space.name, space_hash="", data=data, preset=conditions.preset,
        max_steps=conditions.steps, image_size=None, batch_size=None, weights="none", reduction_factor=3, seed=seed,
        versions={}, task=space.task, objective=objective.name, also=" ".join(objective.also),
    )  # fmt: skip


def lines(curves: int, rule: Rule, outcomes: Sequence[Outcome]) -> list[str]:
    """The outcomes as lines for the user: means over the seeds, with 95% confidence intervals if there are several."""

    def mean(name: str, shown: Callable[[float], str], of: Sequence[Outcome] = outcomes) -> str:
        middle, half = interval([getattr(outcome, name) for outcome in of])
        return shown(middle) if len(of) < 2 else f"{shown(middle)} ± {shown(half)}"

    ended = [outcome for outcome in outcomes if outcome.found is not None]
    best = [f"best       none: no trial of {len(outcomes) - len(ended)} replays was completed"]
    if ended:
        best = [*best[len(ended) == len(outcomes) :], f"best       {mean('found', '{:.3f}'.format, ended)}"]
        best += [f"regret     {mean('regret', '{:.4f}'.format, ended)} worse than the best of all curves"]
    return [
        f"{len(outcomes)} replays of {rule.trials} trials over {curves} curves: {rule.sampler}, {rule.scheduler}, "
        f"factor {rule.reduction_factor}, {rule.brackets} brackets, {rule.workers} workers",
        *best,
        f"cost       {mean('trainings', '{:.2f}'.format)} full-length trials, in gradient steps",
        f"time       {mean('seconds', duration)}, simulated",
    ]


@dataclass(frozen=True)
class Recorded:
    """Learning curves, with the space, the conditions and the objective of their search.

    rule: the search's own settings, one worker. seed: its seed. costs: of its networks, if it asked for them.
    first: the recipes that it tried before the published ones (`--recipe`, or the best ones of a warm start).
    """

    curves: list[Curve]
    space: Space
    conditions: Conditions
    objective: Objective
    rule: Rule
    seed: int = 0
    costs: ServedCosts = NO_COSTS
    first: tuple[Seed, ...] = ()


def recorded(named: str, studies: Path, space: str | None) -> Recorded:
    """The curves of a study (name or folder), or of a JSON file of curves.

    space: the name of the space of a file of curves. Raises UserError when there is nothing to read.
    """
    path = Path(named)
    if path.is_file():
        if space is None:
            raise UserError(f"{path}: is a file of curves; give the --space that they were recorded with")
        curves = simulation.read_curves(path)
        of = search_spaces.get(space)
        objective = tasks.get(of.task).objective(None, ())
        ends = [objective.value(curve.at(curve.steps[-1])) for curve in curves]
        if None in ends or not any(math.isfinite(value) for value in ends if value is not None):
            raise UserError(
                f"{path}: cannot be replayed: each curve needs {' and '.join(objective.metrics)}, "
                "and one of them a last value that is a number"
            )
        rule = Rule("promote", trials=len(curves))
        return Recorded(curves, of, Conditions(steps=curves[0].recipe.steps), objective, rule)
    found = reading.read(named, studies)
    about, params = found.manifest, {trial.number: trial.params for trial in found.trials}
    curves = simulation.of_records(found.records, params, about.max_steps, found.objective)
    costs, limits = served_costs.read(found.folder), limit.parse(about.limit.split())
    given = about.scheduler, about.reduction_factor, about.brackets, len(curves)
    rule = Rule(*given, sampler=about.sampler, limits=limits)
    space_of, conditions = search_spaces.get(about.space), about.conditions()
    published = {seed.name for seed in space_of.seeds(conditions)}
    first = tuple(
        Seed(record.provenance["name"], record.provenance["source"], dict(params[record.number]), ())
        for record in found.records
        if record.provenance.keys() == {"name", "source"} and record.provenance["name"] not in published
    )
    return Recorded(curves, space_of, conditions, found.objective, rule, about.seed, costs, first)
