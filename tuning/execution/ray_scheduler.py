"""Adapts a search to Ray Tune's TrialScheduler: passes it every result, and returns which trials go on."""

from __future__ import annotations

import re
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tuning.execution.ray_searcher import ray_config
from tuning.execution.trainable import RESULT
from tuning.execution.trial_source import TrialSource


class StudyScheduler(TrialScheduler):
    """Passes every result to `search`, which has updated the study before Ray acts on the decision."""

    def __init__(self, search: TrialSource) -> None:
        super().__init__()
        self._search = search
        self._saved: dict[int, int] = {}  # step of the checkpoint at a trial's last lost worker

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Ignored: the search has its own objective."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, as the search decides."""
        try:
            return "CONTINUE" if self._search.report(result[RESULT]) else "STOP"
        except Exception as error:
            self._search.driver_error = error  # Ray raises a different one instead
            raise

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None: Ray runs pending trials in order."""
        return None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do: the searcher proposed it."""

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial's worker died. If Ray restarts the trial, it must resume from its current state.

        Ray counts the deaths, and gives the trial up after max_failures; the count begins anew when a checkpoint was
        written since the last one, and the loss of a machine is no fault of the trial.
        """
        number = trial.config["assignment"]["number"]
        machine = lost_machine(trial.get_pickled_error())
        step = self._search.study.saved_step(number)
        if machine or step > self._saved.get(number, 0):
            trial.run_metadata.num_failures = 1
        self._saved[number] = step
        trial.set_config(trial.config | ray_config(self._search, self._search.lost(number, machine)))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Nothing to do: the trial got its verdict with its last result."""

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing to do: the trial is interrupted when the search ends."""

    def debug_string(self) -> str:
        """For Ray's log."""
        return "successive halving of the study"


def lost_machine(error: BaseException | None) -> str:
    """The address of the machine whose loss is the cause of Ray's error; "" if a process alone has died."""
    said = " ".join(str(error).split())
    if error is None or not re.search(r"its node has died|[Nn]ode .*(was|is) (dead|terminated)", said):
        return ""
    address = re.search(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b", said)
    return address[1] if address else "a machine"
