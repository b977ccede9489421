"""Meter: measures what each trial of a search costs, and keeps it on disk while the trial runs."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from tuning.study.spent import Spent, WorkersCost, total
from tuning.study.step_result import StepResult
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord

SAVE_SECONDS = 1.0  # between writes of the costs of the running trials
UNMETERED = "unmetered_gpus"  # attribute of the Optuna study: a worker's GPUs in the runs of earlier versions


@dataclass
class _Running:
    """before: the cost at the start of this assignment. spent: at the last message, which came at `since`."""

    before: Spent
    spent: Spent
    since: float
    start_seconds: float | None = (
        None  # that the worker's process took to start, which it does not count itself
    )


class Meter:
    """The cost of the trials of a study.

    gpus: of each worker in this run. The first run sets how many the workers of earlier versions had, which did not
    store it.

    A running trial costs what its worker's last message says, and the time since then. So a limit is reached in the
    middle of a long evaluation too, and a killed worker's last seconds count.
    """

    def __init__(self, study: Study, gpus: float = 0.0) -> None:
        self._study = study
        self.gpus = gpus
        self._running: dict[int, _Running] = {}
        self._saved = -SAVE_SECONDS
        self._most = 0.0
        records = study.records()
        self._idle = {record.number: record.spent for record in records}  # the trials that no worker has
        self._idle_total = total(self._idle.values())
        if self._idle_total.unmetered and study.attribute(UNMETERED) is None:
            study.set_attribute(UNMETERED, gpus)
        self._unmetered_gpus = float(study.attribute(UNMETERED, gpus))

    @property
    def wall_seconds(self) -> float:
        """For which drivers had the study open."""
        return self._study.wall_seconds

    @property
    def gpu_hours(self) -> float:
        """GPU hours of all workers; never falls."""
        self._most = max(self._most, self.total().gpu_hours(self._unmetered_gpus))
        return self._most

    @property
    def steps(self) -> int:
        """Gradient steps of all trials."""
        return self.total().steps

    def total(self) -> Spent:
        """The cost of all trials."""
        return self._idle_total + total(map(self.spent, self._running))

    def spent(self, number: int) -> Spent:
        """The cost of one trial until now."""
        if number not in self._running:
            return self._idle.get(number, Spent())
        running = self._running[number]
        return running.spent + Spent.by_worker(0, 0.0, time.monotonic() - running.since, self.gpus)

    def begin(self, record: TrialRecord) -> None:
        """A worker was given the trial."""
        self._idle_total -= self._idle.pop(record.number, Spent())
        self._running[record.number] = _Running(record.spent, record.spent, time.monotonic())
        self._saved = (
            -SAVE_SECONDS
        )  # at once: the file tells which trials' workers are to be asked after a kill
        self.save()

    def add(self, result: StepResult) -> StepResult:
        """Count a worker's message. Returns it with the seconds that the worker's process took to start."""
        running, now = self._running[result.trial], time.monotonic()
        if running.start_seconds is None:
            known = result.seconds_training + result.seconds_overhead - running.before.seconds
            running.start_seconds = max(0.0, now - running.since - known)
        result = dataclasses.replace(result, seconds_overhead=result.seconds_overhead + running.start_seconds)
        before = running.before
        steps = running.spent.steps + len(result.steps) - before.steps
        training = result.seconds_training - before.training
        overhead = result.seconds_overhead - before.overhead
        sent, received = running.spent.sent + result.sent, running.spent.received + result.received
        spent = before + Spent.by_worker(steps, training, overhead, self.gpus)
        running.spent, running.since = dataclasses.replace(spent, sent=sent, received=received), now
        self.save()
        return result

    def end(self, number: int) -> Spent | None:
        """No worker has the trial any more. Returns its cost; None if none had it."""
        if number not in self._running:
            return None
        theirs = WorkersCost.read(self._study.trial_folder(number))
        spent = self._idle[number] = self.spent(number).with_workers(theirs)
        self._idle_total += spent
        del self._running[number]
        return spent

    def save(self) -> None:
        """Write the costs of the running trials, at most once a second."""
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._study.save_spending({number: self.spent(number) for number in self._running})
            self._saved = time.monotonic()
