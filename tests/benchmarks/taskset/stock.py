"""Random search, Optuna's samplers with its pruners, and Ray's OptunaSearch with its ASHAScheduler, on one task."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from clock import Arm, Completed, Job, run
from optuna.distributions import FloatDistribution
from tasks import TuningTask, Untaken

FACTOR, FIRST_RUNG = 3, 2  # of 51 evaluations: the same lowest rung for all


def distributions(task: TuningTask) -> dict[str, FloatDistribution]:
    """The task's search space."""
    return {name: FloatDistribution(low, high, log=log) for name, (low, high, log) in task.ranges.items()}


def as_recorded(trial: optuna.Trial, task: TuningTask, untaken: Untaken) -> int:
    """The recipe that the trial gets: the nearest of the table, of which its study is told the hyperparameters."""
    recipe = untaken.nearest(trial.params)
    frozen = trial.storage.get_trial(trial._trial_id)  # kept in memory, so this is no copy
    frozen.params = task.hyperparameters(recipe)
    return recipe


class RandomSearch:
    """Trains recipes in a random order, each to its end."""

    def __init__(self, task: TuningTask, seed: int) -> None:
        self._length = task.length
        self._order = np.random.default_rng(seed).permutation(len(task.values))
        self._begun = 0

    def ask(self) -> Job:
        """The next recipe of the order."""
        self._begun += 1
        return Job(self._begun - 1, int(self._order[self._begun - 1]), self._length)

    def tell(self, trial: int, step: int, loss: float) -> None:
        """It learns nothing."""


class Optuna:
    """An Optuna study whose trials report every evaluation and ask whether to be pruned."""

    def __init__(self, task: TuningTask, seed: int, pruner: optuna.pruners.BasePruner | None) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._task, self._untaken, self._prunes = task, Untaken(task), pruner is not None
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, pruner=pruner or optuna.pruners.NopPruner())
        self._space = distributions(task)
        self._trials: list[optuna.Trial] = []

    def ask(self) -> Job:
        """A new trial."""
        trial = self._study.ask(self._space)
        self._trials.append(trial)
        return Job(trial.number, as_recorded(trial, self._task, self._untaken), self._after(0))

    def tell(self, trial: int, step: int, loss: float) -> int | None:
        """A trial that has diverged has failed."""
        one = self._trials[trial]
        if math.isnan(loss):
            self._study.tell(one, state=optuna.trial.TrialState.FAIL)
            return None
        one.report(loss, step)
        if step == self._task.length:
            self._study.tell(one, loss)
            return None
        if self._prunes and one.should_prune():
            self._study.tell(one, state=optuna.trial.TrialState.PRUNED)
            return None
        return self._after(step)

    def _after(self, step: int) -> int:
        return step + 1 if self._prunes else self._task.length


class RayASHA:
    """Ray's OptunaSearch and ASHAScheduler, called as Ray Tune calls them."""

    def __init__(self, task: TuningTask, seed: int, grace_period: int) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        np.random.seed(seed)  # the scheduler draws its brackets from it
        self._task, self._untaken, self._begun = task, Untaken(task), 0
        self._searcher = OptunaSearch(distributions(task), metric="loss", mode="min", seed=seed)
        self._scheduler = ASHAScheduler(
            "step", "loss", "min", max_t=task.length, grace_period=grace_period, reduction_factor=FACTOR
        )
        self._trials: dict[int, Any] = {}

    def ask(self) -> Job:
        """A new trial."""
        number = self._begun
        self._begun += 1
        self._trials[number] = SimpleNamespace(trial_id=str(number))
        self._scheduler.on_trial_add(None, self._trials[number])
        self._searcher.suggest(str(number))
        suggested = self._searcher._ot_trials[str(number)]
        return Job(number, as_recorded(suggested, self._task, self._untaken), 1)

    def tell(self, trial: int, step: int, loss: float) -> int | None:
        """A trial that has diverged has ended with an error: Ray would not stop it for a NaN."""
        from ray.tune.schedulers import TrialScheduler

        one = self._trials[trial]
        if math.isnan(loss):
            self._scheduler.on_trial_error(None, one)
            self._searcher.on_trial_complete(one.trial_id, error=True)
            return None
        result = {"training_iteration": step, "step": step, "loss": loss}
        if step == self._task.length or (
            self._scheduler.on_trial_result(None, one, result) == TrialScheduler.STOP
        ):
            self._searcher.on_trial_complete(one.trial_id, result)
            return None
        self._searcher.on_trial_result(one.trial_id, result)
        return step + 1


def search(name: str, task: TuningTask, seed: int, workers: int, trainings: float) -> list[Completed]:
    """Run the arm `name` (arms.py)."""
    warnings.simplefilter("ignore")
    hyperband = optuna.pruners.HyperbandPruner(FIRST_RUNG, task.length, FACTOR)
    halving = optuna.pruners.SuccessiveHalvingPruner(FIRST_RUNG, FACTOR)
    arms: dict[str, Any] = {
        "random search": lambda: RandomSearch(task, seed),
        "Optuna TPE": lambda: Optuna(task, seed, None),
        "Optuna TPE + Hyperband": lambda: Optuna(task, seed, hyperband),
        "Optuna TPE + successive halving": lambda: Optuna(task, seed, halving),
        "Ray ASHA + OptunaSearch": lambda: RayASHA(task, seed, FIRST_RUNG),
    }
    arm: Arm = arms[name]()
    return run(arm, task, workers, trainings)
