"""SMAC's multi-fidelity search, Hyperband with a random forest, on one task, in an environment of its own.

It is asked and told as its own loop does. A trial has the nearest recipe of the table; SMAC knows it by its own
proposal, for it recognises no other.
"""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from pathlib import Path

from clock import Completed, Job, run
from ConfigSpace import Configuration, ConfigurationSpace, Float
from smac import MultiFidelityFacade, Scenario
from smac.runhistory import StatusType, TrialInfo, TrialValue
from tasks import TuningTask, Untaken

FACTOR, FIRST_RUNG = 3, 51 / 27  # of 51 evaluations, so that its rungs are 2, 6, 17 and 51, those of all arms
CRASHED = 1e6  # the cost of a recipe that has diverged


class Hyperband:
    """Its facade; a configuration that it asks for again goes on."""

    def __init__(self, task: TuningTask, seed: int, folder: Path) -> None:
        self._task, self._untaken = task, Untaken(task)
        space = ConfigurationSpace(seed=seed)
        space.add([Float(name, (low, high), log=log) for name, (low, high, log) in task.ranges.items()])
        scenario = Scenario(
            space, deterministic=True, n_trials=100_000, min_budget=FIRST_RUNG, max_budget=task.length, seed=seed,
            output_directory=folder,
        )  # fmt: skip
        self._search = MultiFidelityFacade(
            scenario,
            _never_called,
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=FACTOR),
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=10),
            logging_level=False,
            overwrite=True,
        )
        self._trials: dict[Configuration, tuple[int, int]] = {}  # its number and recipe
        self._running: dict[int, TrialInfo] = {}

    def ask(self) -> Job:
        """A new trial, or one that goes on."""
        asked = self._search.ask()
        if asked.config not in self._trials:
            self._trials[asked.config] = len(self._trials), self._untaken.nearest(dict(asked.config))
        trial, recipe = self._trials[asked.config]
        self._running[trial] = asked
        return Job(trial, recipe, round(asked.budget))

    def tell(self, trial: int, step: int, loss: float) -> None:
        """A trial that has diverged has crashed."""
        value = TrialValue(CRASHED, status=StatusType.CRASHED) if math.isnan(loss) else TrialValue(loss)
        self._search.tell(self._running.pop(trial), value, save=False)


def _never_called(config: Configuration, seed: int, budget: float) -> float:
    raise NotImplementedError("it is asked and told")


def search(name: str, task: TuningTask, seed: int, workers: int, trainings: float) -> list[Completed]:
    """Run the arm `name` (arms.py)."""
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        return run(Hyperband(task, seed, Path(folder)), task, workers, trainings)
