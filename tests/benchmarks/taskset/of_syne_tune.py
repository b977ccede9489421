"""syne-tune's schedulers on one task, in an environment of their own (requirements.txt).

Called as syne-tune's Tuner calls them. A trial has the nearest recipe of the table, which is what they are told.
"""

from __future__ import annotations

import datetime
import logging
import math
import random

import numpy as np
from clock import Completed, Job, run
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import loguniform, uniform
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision
from tasks import TuningTask, Untaken

SCHEDULERS = {
    "syne-tune ASHA": "ASHA",
    "syne-tune ASHA + BORE": "ASHABORE",
    "syne-tune ASHA + CQR": "ASHACQR",
    "syne-tune BOHB": "BOHB",
}
FACTOR, FIRST_RUNG = 3, 2  # of 51 evaluations: the same lowest rung for all


class SyneTune:
    """One of its schedulers; trials report every evaluation."""

    def __init__(self, task: TuningTask, seed: int, scheduler: str) -> None:
        random.seed(seed)
        np.random.seed(seed)  # some of its parts draw from the global generators
        self._task, self._untaken, self._trials = task, Untaken(task), []
        space = {
            name: (loguniform if log else uniform)(low, high)
            for name, (low, high, log) in task.ranges.items()
        }
        self._scheduler = getattr(baselines, scheduler)(
            space, metric="loss", time_attr="step", max_t=task.length, random_seed=seed,
            grace_period=FIRST_RUNG, reduction_factor=FACTOR,
        )  # fmt: skip

    def ask(self) -> Job:
        """A new trial."""
        number = len(self._trials)
        recipe = self._untaken.nearest(self._scheduler.suggest().config)
        trial = Trial(number, dict(self._task.hyperparameters(recipe)), datetime.datetime.now())
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return Job(number, recipe, 1)

    def tell(self, trial: int, step: int, loss: float) -> int | None:
        """A trial that has diverged has ended with an error."""
        one = self._trials[trial]
        if math.isnan(loss):
            self._scheduler.on_trial_error(one)
            return None
        result = {"loss": loss, "step": step}
        if step == self._task.length:
            self._scheduler.on_trial_complete(one, result)
            return None
        goes_on = self._scheduler.on_trial_result(one, result) == SchedulerDecision.CONTINUE
        return step + 1 if goes_on else None


def search(name: str, task: TuningTask, seed: int, workers: int, trainings: float) -> list[Completed]:
    """Run the arm `name` (arms.py)."""
    logging.disable(logging.WARNING)
    return run(SyneTune(task, seed, SCHEDULERS[name]), task, workers, trainings)
