"""Spending: tracks what a study has cost so far, and which limit of its budget is reached."""

from __future__ import annotations

from tuning.search.budget import Budget, duration
from tuning.search.callback import Callback
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord


class Spending(Callback):
    """The cost of a study so far: of its earlier runs, and of the running trials.

    gpus_per_trial: GPUs of a worker. max_steps: gradient steps of a full trial.
    """

    def __init__(self, study: Study, budget: Budget, gpus_per_trial: float, max_steps: int) -> None:
        self._study = study
        self._budget = budget
        self._gpus = gpus_per_trial
        self._max_steps = max_steps
        self._steps = 0
        self._seconds = 0.0
        self._live: dict[int, tuple[int, float]] = {}
        for record in study.records():
            self._add(record)

    @property
    def trainings(self) -> float:
        """Gradient steps of all trials, in full-length trials."""
        return (self._steps + sum(step for step, _ in self._live.values())) / self._max_steps

    @property
    def gpu_hours(self) -> float:
        """GPU hours of all workers."""
        return (self._seconds + sum(seconds for _, seconds in self._live.values())) * self._gpus / 3600

    def began(self, record: TrialRecord) -> None:
        """Count a resumed trial as running; one that was promoted already is."""
        if record.number not in self._live and (record.rungs or record.seconds_overhead):
            self._steps -= _steps(record)
            self._seconds -= record.seconds_training + record.seconds_overhead
            self._live[record.number] = (_steps(record), record.seconds_training + record.seconds_overhead)

    def progressed(self, result: StepResult) -> None:
        """Update the running trial's cost."""
        self._live[result.trial] = (result.step, result.seconds_training + result.seconds_overhead)

    def ended(self, record: TrialRecord) -> None:
        """Add the trial's final cost."""
        self._live.pop(record.number, None)
        self._add(record)

    def limit(self) -> str | None:
        """The flag of the limit that is reached, such as "--time 2 h 00 min"; None while there is budget left."""
        budget = self._budget
        if budget.seconds is not None and self._study.wall_seconds >= budget.seconds:
            return f"--time {duration(budget.seconds)}"
        if budget.trainings is not None and self.trainings >= budget.trainings:
            return f"--like {budget.trainings:g}"
        if budget.gpu_hours is not None and self.gpu_hours >= budget.gpu_hours:
            return f"--gpu-hours {budget.gpu_hours:g}"
        if budget.cost is not None and self._cost() >= budget.cost:
            return f"--cost {budget.cost:g}"
        return None

    def line(self) -> str:
        """What is spent of each limit, for the user; "" if only the number of trials is limited."""
        budget, parts = self._budget, []
        if budget.seconds is not None:
            parts.append(f"{duration(self._study.wall_seconds)} of {duration(budget.seconds)}")
        if budget.trainings is not None:
            parts.append(f"{self.trainings:.1f} of {budget.trainings:g} trainings")
        if budget.gpu_hours is not None:
            parts.append(f"{self.gpu_hours:.2f} of {budget.gpu_hours:g} GPU hours")
        if budget.cost is not None:
            parts.append(f"cost {self._cost():.2f} of {budget.cost:g}")
        return ", ".join(parts)

    def _cost(self) -> float:
        return self.gpu_hours * (self._budget.price_per_gpu_hour or 0.0)

    def _add(self, record: TrialRecord) -> None:
        self._steps += _steps(record)
        self._seconds += record.seconds_training + record.seconds_overhead


def _steps(record: TrialRecord) -> int:
    return max(record.step, record.verdict.step if record.verdict else 0)
