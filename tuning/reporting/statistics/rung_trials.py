"""RungTrials: the trials that reached one rung, with their objective there, early-stopped ones included.

Optuna's own importances and charts use completed trials and their last values. In a search with early stopping few
trials complete, and last values are of different budgets. At a rung, all trials have had equally many steps. They are
ordered as the scheduler orders them: where the objective is at chance level, as it mostly is at the first rung, its
values rank trials worse than a coin does, and the loss ranks them well (tests/benchmarks/rungs.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, create_trial

from trainers import score_order
from trainers.metrics import Direction
from trainers.objective import Objective
from tuning.study.trial_record import TrialRecord

ENOUGH = 20  # a later rung with this many trials is preferred to an earlier one with more
FEWEST, PLENTY = (
    4,
    10,
)  # trials with a parameter for its importance: a quarter of all, but within these limits


@dataclass(frozen=True)
class RungTrials:
    """The trials that reached the rung at `step`, best first in the scheduler's order.

    records, trials, values and standings run in parallel.
    values: the objective at the rung. standings: the share of the trials that each is ahead of, with ties broken, in
        (0, 1). informative: whether at least half of the values are above chance; otherwise only the tie-breakers rank.
    direction: whether larger or smaller values are better.
    """

    step: int
    records: Sequence[TrialRecord]
    trials: Sequence[FrozenTrial]
    values: Sequence[float]
    standings: Sequence[float]
    informative: bool = True
    direction: Direction = "maximize"

    def optuna_study(self, chosen: Sequence[int] | None = None, by_standing: bool = False) -> optuna.Study:
        """An in-memory Optuna study of the trials at the indices `chosen`; of all trials by default.

        by_standing: the trials' values are their standings instead of the objective.
        """
        study = optuna.create_study(direction="maximize" if by_standing else self.direction)
        values = self.standings if by_standing else self.values
        places = range(len(self.trials)) if chosen is None else chosen
        made = [
            create_trial(
                params=self.trials[i].params, distributions=self.trials[i].distributions, value=values[i]
            )
            for i in sorted(places, key=lambda i: self.trials[i].number)
        ]
        study.add_trials(made)
        return study


def trials_at_rung(
    ranked: Sequence[TrialRecord], optuna_trials: Sequence[FrozenTrial], objective: Objective
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
    reached = [(rung, record) for record in with_params for rung in record.rungs if rung.step == step]
    keys = score_order.keys([rung.score for rung, _ in reached])
    ascending = sorted(keys)
    order = sorted(range(len(reached)), key=lambda i: (keys[i], -reached[i][1].number))[::-1]
    values = [reached[i][0].value for i in order]
    return RungTrials(
        step,
        records=[reached[i][1] for i in order],
        trials=[trials[reached[i][1].number] for i in order],
        values=values,
        standings=[score_order.standing(keys[i], ascending) for i in order],
        informative=2 * sum(map(objective.above_chance, values)) >= len(values),
        direction=objective.direction,
    )


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
    if not names or len(set(at_rung.standings)) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of few trials; the report says how many there are
        found = optuna.importance.get_param_importances(at_rung.optuna_study(by_standing=True), params=names)
    return {name: value for name, value in found.items() if not math.isnan(value)}
