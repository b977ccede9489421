"""Judge: turns the evaluation of a trial at a rung into a Rung, with the scheduler's decision."""

from __future__ import annotations

import dataclasses

from trainers import model as models
from trainers.metrics import TOTAL_LOSS
from tuning.search.constraints.served_costs import ServedCosts
from tuning.search.scheduler import Judgement, Scheduler, make_rung
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import Rung

TO_THE_END = Judgement("continue", 1, 1, None)


class Judge:
    """Of one search. costs: of the networks when they are served; they become metrics of each rung."""

    def __init__(self, study: Study, scheduler: Scheduler, costs: ServedCosts) -> None:
        self._study = study
        self._scheduler = scheduler
        self._costs = costs

    def not_finite(self, result: StepResult) -> str | None:
        """The first metric that counts and is NaN or infinite, in a line for the user; None if all are finite."""
        objective = self._study.objective
        return result.not_finite((*objective.metrics, TOTAL_LOSS, *objective.judged_by))

    def judge(self, result: StepResult, goes_on: bool) -> Rung:
        """Record the trial's score with the scheduler, and ask it. A repeat competes with nobody, and goes on.

        goes_on: what comes after the rung is known and costs nothing, so the trial goes on whatever its score.
        """
        record, step, objective = self._study.record(result.trial), result.step, self._study.objective
        result = self._costs.added(result, record.recipe)
        score = objective.score(result.metrics, record.model, models.loss_of(record.recipe))
        if record.repeats is not None:
            return make_rung(result, score, TO_THE_END, objective)
        self._scheduler.record(record.number, step, score)
        rung = make_rung(result, score, self._scheduler.judge(record.number, step), objective)
        if not goes_on:
            return rung
        self._scheduler.promote(record.number, step)
        return dataclasses.replace(rung, decision="continue")
