"""RungTrials: the trials that reached one rung, with their objective there, early-stopped ones included.

Optuna's own importances and charts use completed trials and their last values. In a search with early stopping few
trials complete, and last values are of different budgets. At a rung, all trials have had equally many steps.
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

ENOUGH = 20  # a later rung with this many trials is preferred to an earlier one with more
FEWEST, PLENTY = (
    4,
    10,
)  # trials with a parameter for its importance: a quarter of all, but within these limits


@dataclass(frozen=True)
class RungTrials:
    """The trials that reached the rung at `step`, best first; `records`, `trials` and `values` run in parallel.

    values: the objective at the rung. direction: whether larger or smaller is better.
    """

    step: int
    records: Sequence[TrialRecord]
    trials: Sequence[FrozenTrial]
    values: Sequence[float]
    direction: Direction = "maximize"

    def optuna_study(self, chosen: Sequence[int] | None = None) -> optuna.Study:
        """An in-memory Optuna study of the trials at the indices `chosen`; of all trials by default."""
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


def trials_at_rung(
    ranked: Sequence[TrialRecord], optuna_trials: Sequence[FrozenTrial], direction: Direction = "maximize"
) -> RungTrials | None:
    """The trials at the highest rung that ENOUGH trials reached, else at the rung that most reached.

    ranked: trials that reached a rung. optuna_trials: the same trials as Optuna stores them; those without parameters
    are left out. None if no trial remains.
    """
    trials = {trial.number: trial for trial in optuna_trials if trial.params}
    with_params = [record for record in ranked if record.number in trials]
    counts: dict[int, int] = {}
    for record in with_params:
        for rung in record.rungs:
            counts[rung.step] = counts.get(rung.step, 0) + 1
    if not counts:
        return None
    step = max(counts, key=lambda step: (min(counts[step], ENOUGH), step))
    reached = [(rung.value, record) for record in with_params for rung in record.rungs if rung.step == step]
    sign = 1 if direction == "minimize" else -1
    reached.sort(key=lambda pair: (sign * pair[0], pair[1].number))
    records = [record for _, record in reached]
    values = [value for value, _ in reached]
    return RungTrials(step, records, [trials[r.number] for r in records], values, direction)


def importances(at_rung: RungTrials | None) -> dict[str, float]:
    """The importance of each parameter for being among the better trials, largest first; they sum to about 1.

    Optuna's PED-ANOVA, which can handle conditional parameters (Watanabe et al., IJCAI 2023). Parameters that too few
    trials have, or that have the same value in all, are left out.
    """
    if at_rung is None:
        return {}
    suggested: dict[str, list[object]] = {}
    for trial in at_rung.trials:
        for name, value in trial.params.items():
            suggested.setdefault(name, []).append(value)
    fewest = max(FEWEST, min(PLENTY, len(at_rung.trials) // 4))
    names = [name for name, values in suggested.items() if len(values) >= fewest and len(set(values)) > 1]
    if not names or len(set(at_rung.values)) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of few trials; the report says how many there are
        found = optuna.importance.get_param_importances(at_rung.optuna_study(), params=names)
    return {name: value for name, value in found.items() if not math.isnan(value)}
