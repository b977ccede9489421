"""Simulation: runs a Search, with its real sampler and scheduler, on a simulated clock over recorded learning curves."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.metrics import LOSS
from trainers.objective import Objective
from trainers.recipe import Recipe
from tuning.search.search import Search
from tuning.study.proposal import Proposal
from tuning.study.step_result import StepResult
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Curve:
    """The learning curve of a full trial.

    params: the sampled parameters. steps: at which it was evaluated, rising. metrics: by name, one value for each step.
    seconds_per_step: of training.
    """

    recipe: Recipe
    params: Mapping[str, Any]
    steps: Sequence[int]
    metrics: Mapping[str, Sequence[float]]
    seconds_per_step: float

    def at(self, step: int) -> dict[str, float]:
        """The metrics at `step`, linearly interpolated from 0 at step 0; losses are flat before the first evaluation."""
        found = {}
        for name, values in self.metrics.items():
            first = values[0] if name.startswith(LOSS) else 0.0
            steps, known = (0, *self.steps), (first, *values)
            after = next((i for i in range(1, len(steps)) if steps[i] >= step), len(steps) - 1)
            share = min(1.0, (step - steps[after - 1]) / (steps[after] - steps[after - 1]))
            found[name] = known[after - 1] + share * (known[after] - known[after - 1])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a file of curves holds them."""
        return {
            "recipe": self.recipe.to_dict(),
            "params": dict(self.params),
            "steps": list(self.steps),
            "metrics": {name: list(values) for name, values in self.metrics.items()},
            "seconds_per_step": self.seconds_per_step,
        }


def read_curves(path: Path) -> list[Curve]:
    """The curves in a JSON file, a list of Curve.to_dict(). Raises UserError when the file holds none."""
    try:
        curves = [
            Curve(
                recipe=recipes.build(fields["recipe"], where=f"{path}: curve {i}"),
                params=fields["params"],
                steps=fields["steps"],
                metrics=fields["metrics"],
                seconds_per_step=fields["seconds_per_step"],
            )
            for i, fields in enumerate(json.loads(path.read_text(encoding="utf-8")))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: cannot be read as learning curves: {' '.join(str(error).split())}"
        ) from None
    if not curves:
        raise UserError(f"{path}: holds no learning curve")
    return curves


def of_records(
    records: Iterable[TrialRecord],
    params: Mapping[int, Mapping[str, Any]],
    max_steps: int,
    objective: Objective,
) -> list[Curve]:
    """The curves of a study's trials.

    A stopped trial's curve is extrapolated: from its last rung it grows as the full trials did on average.
    Raises UserError when no trial took all its steps.
    """
    known = [record for record in records if record.rungs and record.recipe["steps"] == max_steps]
    full = [record for record in known if record.step >= max_steps]
    if not full:
        raise UserError(
            "no trial of the study is completed, so there is no curve to replay; let one train to its end"
        )
    return [_curve(record, params[record.number], full, objective) for record in known]


def _curve(
    record: TrialRecord, params: Mapping[str, Any], full: Sequence[TrialRecord], objective: Objective
) -> Curve:
    steps = [rung.step for rung in record.rungs]
    metrics = {
        name: [rung.metrics[name] for rung in record.rungs]
        for name in objective.judged_by
        if name in record.rungs[0].metrics
    }
    for step in sorted({rung.step for other in full for rung in other.rungs if rung.step > record.step}):
        for values in metrics.values():
            values.append(values[-1])
        before, after = _mean_value(full, steps[-1]), _mean_value(full, step)
        if before and after and before > 0:
            grown = after / before if objective.direction == "minimize" else max(1.0, after / before)
            for name in objective.metrics:
                raised = metrics[name][-1] * grown
                metrics[name][-1] = min(1.0, raised) if objective.criteria[0].bounded else raised
        steps.append(step)
    last = record.rungs[-1]
    recipe = recipes.build(dict(record.recipe))
    return Curve(recipe, params, steps, metrics, last.seconds_training / last.step)


def _mean_value(full: Sequence[TrialRecord], step: int) -> float | None:
    found = [rung.value for record in full for rung in record.rungs if rung.step == step]
    return sum(found) / len(found) if found else None


class Table:
    """A tabular benchmark of recorded curves: each proposal becomes the nearest curve that is not yet taken."""

    def __init__(self, curves: Sequence[Curve], space: Space, conditions: Conditions) -> None:
        self._space, self._conditions = space, conditions
        self._free = dict(enumerate(curves))
        self._taken: dict[str, Curve] = {}

    def nearest(self, proposal: Proposal) -> Proposal:
        """The recorded trial nearest to `proposal`, as a proposal; its curve is then taken."""
        at = min(self._free, key=lambda i: distance(proposal, self._free[i].params))
        curve = self._free.pop(at)
        self._taken[curve.recipe.recipe_id] = curve
        distributions = self._space.replay(curve.params, self._conditions).distributions
        return Proposal(curve.recipe, curve.params, distributions)

    def curve(self, record: TrialRecord) -> Curve:
        """The curve of a trial of the search."""
        return self._taken[record.recipe_id]


def distance(proposal: Proposal, params: Mapping[str, Any]) -> float:
    """Distance of two sets of parameters, 0 to 1: the mean over all parameters, with 1 where only one set has it."""
    names = proposal.params.keys() | params.keys()
    total = 0.0
    for name in names:
        if name in proposal.params and name in params:
            total += _parameter_distance(proposal.distributions[name], proposal.params[name], params[name])
        else:
            total += 1.0
    return total / len(names)


def _parameter_distance(distribution: BaseDistribution, one: Any, other: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(one != other)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale = math.log if distribution.log else float
    width = scale(distribution.high) - scale(distribution.low)
    return min(1.0, abs(scale(one) - scale(other)) / width) if width else 0.0


@dataclass(frozen=True)
class Clock:
    """Seconds that a trial takes besides training: its start, and each evaluation."""

    start: float = 2.0
    evaluation: float = 3.0


class RungReached(NamedTuple):
    """A trial at a rung. seconds: simulated time. taken: gradient steps of all trials so far. value: the objective."""

    seconds: float
    taken: int
    trial: int
    step: int
    value: float


def simulate(search: Search, table: Table, workers: int = 1, clock: Clock = Clock()) -> list[RungReached]:
    """Run `search` to its end on `workers` simulated workers. Returns every rung that a trial reached, in order of time.

    The search must not have more trials than `table` has curves.
    """
    events: list[tuple[float, int, TrialRecord]] = []
    history: list[RungReached] = []
    now, taken = 0.0, 0
    training: dict[int, float] = {}
    overhead: dict[int, float] = {}
    at: dict[int, int] = {}

    def train_to_next_rung(record: TrialRecord, pause: float) -> None:
        step = at[record.number]
        rung = next(rung for rung in search.scheduler.rungs_of(record.number) if rung > step)
        seconds = (rung - step) * table.curve(record).seconds_per_step
        training[record.number] += seconds
        overhead[record.number] += pause + clock.evaluation
        at[record.number] = rung
        heapq.heappush(events, (now + pause + seconds + clock.evaluation, record.number, record))

    while True:
        while search.live < workers and (record := search.propose()) is not None:
            at.setdefault(record.number, record.step)
            training.setdefault(record.number, 0.0)
            overhead.setdefault(record.number, 0.0)
            train_to_next_rung(record, clock.start)
        if not events:
            return history
        now, number, record = heapq.heappop(events)
        curve, step = table.curve(record), at[number]
        before = max((rung for rung in (0, *search.scheduler.rungs_of(number)) if rung < step), default=0)
        taken += step - before
        metrics = curve.at(step)
        value = search.study.objective.value(metrics)
        assert value is not None
        history.append(RungReached(now, taken, number, step, value))
        result = StepResult(
            number, step, "rung", metrics=metrics,
            seconds_training=training[number], seconds_overhead=overhead[number],
        )  # fmt: skip
        if search.report(result):
            train_to_next_rung(record, 0.0)
