"""Adapts a search to Ray Tune's TrialScheduler: takes in every result, and says which trials go on."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tuning.execution.ray_searcher import ray_config
from tuning.execution.trainable import RESULT
from tuning.execution.trial_source import TrialSource


class StudyScheduler(TrialScheduler):
    """Passes every result to `search`, which updates Optuna and decides the verdict before Ray acts on it."""

    def __init__(self, search: TrialSource) -> None:
        super().__init__()
        self._search = search

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """The search knows its own metric."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        try:
            return "CONTINUE" if self._search.report(result[RESULT]) else "STOP"
        except Exception as error:
            self._search.driver_error = error  # Ray raises another in its place
            raise

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None: Ray takes the pending trials in their order."""
        return None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """The searcher knows."""

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Its worker died. If Ray starts it again, then from what is known of it now, not when it was proposed."""
        number = trial.config["assignment"]["number"]
        trial.set_config(trial.config | ray_config(self._search, self._search.lost(number)))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Its verdict was given with its last result."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Was given none; it is interrupted."""

    def debug_string(self) -> str:
        """For Ray's own log."""
        return "successive halving of the study"
