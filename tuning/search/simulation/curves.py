"""Recorded learning curves, of a study or of a JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.metrics import LOSS
from trainers.objective import Objective
from trainers.recipe import Recipe
from tuning.search.constraints.limit import COSTS
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
        """The metrics at `step`, linearly interpolated from 0 at step 0.

        Before the first evaluation, losses and what a network costs when it is served are flat.
        """
        if step in self.steps:  # exactly what was measured: scores must not change by rounding
            return {name: values[list(self.steps).index(step)] for name, values in self.metrics.items()}
        found = {}
        for name, values in self.metrics.items():
            first = values[0] if name.startswith(LOSS) or name in COSTS else 0.0
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
    # of forks the recipe alone is not the reason, and repeats were not proposed
    own = [record for record in records if record.fork is None and record.repeats is None]
    known = [record for record in own if record.rungs and record.recipe["steps"] == max_steps]
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
        for name in (*objective.judged_by, *objective.also)
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
