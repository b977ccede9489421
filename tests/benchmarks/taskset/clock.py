"""A simulated clock for searches that are asked and told: workers that train recipes of a task, every step as long.

Needs NumPy alone, as tasks.py does.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple, Protocol

from tasks import TuningTask


class Job(NamedTuple):
    """Training to do: of a trial with this recipe of the table, up to a step (1 is the first evaluation)."""

    trial: int
    recipe: int
    until: int


class Completed(NamedTuple):
    """A trial that took all its steps. taken: steps of all trials until then."""

    taken: int
    loss: float


class Arm(Protocol):
    """A search on one task."""

    def ask(self) -> Job | None:
        """The next job for an idle worker: a new trial, or one that goes on from where it was. None: wait."""

    def tell(self, trial: int, step: int, loss: float) -> int | None:
        """A trial has reached a step; NaN if it has diverged. Returns up to which step its worker trains it further."""


def run(arm: Arm, task: TuningTask, workers: int, trainings: float) -> list[Completed]:
    """Run the search until its trials have taken the steps of so many full trainings."""
    events: list[tuple[float, int, Job]] = []
    at: dict[int, int] = {}
    completed, taken, now, begun = [], 0, 0.0, 0

    def begin(job: Job) -> None:
        nonlocal begun
        begun += 1
        heapq.heappush(events, (now + job.until - at.setdefault(job.trial, 0), begun, job))

    while True:
        while len(events) < workers and (job := arm.ask()) is not None:
            begin(job)
        now, _, job = heapq.heappop(events)
        taken += job.until - at[job.trial]
        at[job.trial] = job.until
        if taken > trainings * task.length:
            return completed
        loss = task.loss(job.recipe, job.until)
        if job.until == task.length and math.isfinite(loss):
            completed.append(Completed(taken, loss))
        further = arm.tell(job.trial, job.until, loss)
        if further is not None:
            begin(job._replace(until=further))
