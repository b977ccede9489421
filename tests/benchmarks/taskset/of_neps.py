"""PriorBand of neural-pipeline-search on one task, in an environment of its own (requirements.txt).

It is asked and told as its own loop does. A trial has the nearest recipe of the table, which is what it is told. Its
prior is Adam with the defaults of its authors and no decay (Kingma and Ba 2015); no other arm knows that.
"""

from __future__ import annotations

import logging
import math
import random
import warnings

import neps
import numpy as np
import torch
from clock import Completed, Job, run
from tasks import TuningTask, Untaken

FACTOR = 3
FIRST_RUNG = 1  # of 51 evaluations: its rungs are then 2, 6, 17 and 51, those of all arms
DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}  # 0 for all others
STEP = "step"


class PriorBand:
    """Its brackets and sampler; the same number before `_rung_` in its names is the same trial."""

    def __init__(self, task: TuningTask, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)  # it draws from the global generators
        torch.manual_seed(seed)
        self._task, self._untaken = task, Untaken(task)
        space: dict[str, neps.HPOFloat | neps.HPOInteger] = {
            name: neps.HPOFloat(low, high, log=log, prior=min(max(DEFAULTS.get(name, 0.0), low), high))
            for name, (low, high, log) in task.ranges.items()
        }
        space[STEP] = neps.HPOInteger(FIRST_RUNG, task.length, is_fidelity=True)
        self._search = neps.AskAndTell(neps.algorithms.priorband(neps.SearchSpace(space), eta=FACTOR))
        self._recipes: dict[int, int] = {}
        self._running: dict[int, neps.Trial] = {}

    def ask(self) -> Job:
        """A new trial, or one that goes on."""
        asked = self._search.ask()
        trial = int(asked.metadata.id.split("_rung_")[0])
        if trial not in self._recipes:
            self._recipes[trial] = self._untaken.nearest(asked.config)
            asked.config.update(self._task.hyperparameters(self._recipes[trial]))
        self._running[trial] = asked
        return Job(trial, self._recipes[trial], int(asked.config[STEP]))

    def tell(self, trial: int, step: int, loss: float) -> None:
        """A trial that has diverged has crashed."""
        self._search.tell(self._running.pop(trial), ValueError("NaN") if math.isnan(loss) else loss)


def search(name: str, task: TuningTask, seed: int, workers: int, trainings: float) -> list[Completed]:
    """Run the arm `name` (arms.py)."""
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    return run(PriorBand(task, seed), task, workers, trainings)
