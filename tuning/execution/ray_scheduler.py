"""Adapts a search to Ray Tune's TrialScheduler: passes it every result, and returns which trials go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tuning.execution.machines.leaving_out import LeftOut
from tuning.execution.machines.losses import lost_machine
from tuning.execution.ray_searcher import ray_config
from tuning.execution.trainable import RESULT, UNFIT
from tuning.execution.trial_source import TrialSource
from tuning.study.step_result import StepResult


class StudyScheduler(TrialScheduler):
    """Passes every result to `search`, which has updated the study before Ray acts on the decision.

    cpus, gpus: of each worker.
    """

    def __init__(self, search: TrialSource, cpus: float = 1, gpus: float = 0) -> None:
        super().__init__()
        self._search = search
        self._left_out = LeftOut(cpus, gpus)
        self._address: dict[int, str] = {}  # of the machine that trains a trial
        self._saved: dict[int, int] = {}  # step of the checkpoint at a trial's last lost worker

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Ignored: the search has its own objective."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """CONTINUE or STOP, as the search decides."""
        try:
            message: StepResult = result[RESULT]
            self._address[message.trial] = result["node_ip"]
            self._left_out.release()
            if unfit := result[UNFIT]:
                self._left_out.add(unfit["node"], unfit["folder"])
                if self._left_out.everywhere():
                    message = replace(message, kind="halt", reason=unfit["reason"])
            if self._search.report(message):
                return "CONTINUE"
            del self._address[message.trial]  # if it goes on, then anywhere
            return "STOP"
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
        machine = lost_machine(trial.get_pickled_error(), self._address.pop(number, None))
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
