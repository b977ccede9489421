"""At one rung: the trials as an Optuna study of their objective after equally many steps, early-stopped ones included.

Optuna's own charts take completed trials by their last value. Here most trials are stopped early, and last values are
of different budgets; at a rung that all reach they compare.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, create_trial

from trainers.metrics import Direction
from tuning.study.trial_record import TrialRecord

ENOUGH = 20  # trials at a later rung that are preferred to all of them at an earlier one
FEWEST, PLENTY = 4, 10  # trials that an importance can be read from: in between, a quarter of all


@dataclass(frozen=True)
class AtRung:
    """The trials that reached the rung `step`, the best first, and their objective there.

    direction: whether larger or smaller is better.
    """

    step: int
    records: Sequence[TrialRecord]
    trials: Sequence[FrozenTrial]
    values: Sequence[float]
    direction: Direction = "maximize"

    def study(self, chosen: Sequence[int] | None = None) -> optuna.Study:
        """An Optuna study in memory of the trials at these places, or of all."""
        study = optuna.create_study(direction=self.direction)
        places = range(len(self.trials)) if chosen is None else chosen
        made = [
            create_trial(
                params=self.trials[i].params, distributions=self.trials[i].distributions, value=self.values[i]
            )
            for i in sorted(places, key=lambda i: self.trials[i].number)
        ]
        study.add_trials(made)
        return study


def at_rung(
    ranked: Sequence[TrialRecord], asked: Sequence[FrozenTrial], direction: Direction = "maximize"
) -> AtRung | None:
    """At the highest rung that enough trials have reached, or else the most; only trials with parameters.

    ranked: trials with a rung. asked: as Optuna knows them.
    """
    trials = {trial.number: trial for trial in asked if trial.params}
    known = [record for record in ranked if record.number in trials]
    counts: dict[int, int] = {}
    for record in known:
        for rung in record.rungs:
            counts[rung.step] = counts.get(rung.step, 0) + 1
    if not counts:
        return None
    step = max(counts, key=lambda step: (min(counts[step], ENOUGH), step))
    there = [(rung.value, record) for record in known for rung in record.rungs if rung.step == step]
    sign = 1 if direction == "minimize" else -1
    there.sort(key=lambda pair: (sign * pair[0], pair[1].number))
    records = [record for _, record in there]
    values = [value for value, _ in there]
    return AtRung(step, records, [trials[r.number] for r in records], values, direction)


def importances(there: AtRung | None) -> dict[str, float]:
    """How much each parameter explains of what sets the better trials apart, the most first, in shares of 1.

    Optuna's PED-ANOVA, which takes parameters that only some trials are asked (Watanabe et al., IJCAI 2023). Without
    those that few trials have, or all alike.
    """
    if there is None:
        return {}
    asked: dict[str, list[object]] = {}
    for trial in there.trials:
        for name, value in trial.params.items():
            asked.setdefault(name, []).append(value)
    fewest = max(FEWEST, min(PLENTY, len(there.trials) // 4))
    names = [name for name, values in asked.items() if len(values) >= fewest and len(set(values)) > 1]
    if not names or len(set(there.values)) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some are of few trials: the report says how many there are
        found = optuna.importance.get_param_importances(there.study(), params=names)
    return {name: value for name, value in found.items() if not math.isnan(value)}
