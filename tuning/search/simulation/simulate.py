"""Runs a Search, with its real sampler and scheduler, on a simulated clock over recorded learning curves."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tuning.search.search import Search
from tuning.search.simulation.curves import Curve
from tuning.study.step_result import StepResult
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Clock:
    """Seconds that a trial takes besides training: its start, and each evaluation."""

    start: float = 2.0
    evaluation: float = 3.0


class RungReached(NamedTuple):
    """A trial at a rung. seconds: simulated time. taken: gradient steps of all trials so far. value: the objective."""

    seconds: float
    taken: int
    trial: int
    step: int
    value: float


class Curves(Protocol):
    """Where the simulation finds the learning curves."""

    def curve(self, record: TrialRecord) -> Curve:
        """The curve of a trial of the search."""


def simulate(
    search: Search,
    table: Curves,
    workers: int = 1,
    clock: Clock = Clock(),
    tick: Callable[[float], None] = lambda seconds: None,
) -> list[RungReached]:
    """Run `search` to its end on `workers` simulated workers. Returns every rung that a trial reached, in order of time.

    The search must not have more trials than `table` has curves.
    tick: is called with the simulated seconds whenever they advance; a limit of time may end the search then.
    """
    events: list[tuple[float, int, TrialRecord]] = []
    history: list[RungReached] = []
    now, taken = 0.0, 0
    training: dict[int, float] = {}
    overhead: dict[int, float] = {}
    at: dict[int, int] = {}

    def train_to_next_rung(record: TrialRecord, pause: float) -> None:
        step = at[record.number]
        rung = next(rung for rung in search.scheduler.rungs_of(record.number) if rung > step)
        seconds = (rung - step) * table.curve(record).seconds_per_step
        training[record.number] += seconds
        overhead[record.number] += pause + clock.evaluation
        at[record.number] = rung
        heapq.heappush(events, (now + pause + seconds + clock.evaluation, record.number, record))

    while True:
        while search.live < workers and (record := search.propose()) is not None:
            at.setdefault(record.number, record.step)
            training.setdefault(record.number, 0.0)
            overhead.setdefault(record.number, 0.0)
            train_to_next_rung(record, clock.start)
        if not events:
            return history
        now, number, record = heapq.heappop(events)
        tick(now)
        if search.over:
            return history
        curve, step = table.curve(record), at[number]
        rungs = (record.began_at, *search.scheduler.rungs_of(number))
        before = max(rung for rung in rungs if rung < step)
        taken += step - before
        metrics = curve.at(step)
        value = search.study.objective.value(metrics)
        assert value is not None
        history.append(RungReached(now, taken, number, step, value))
        result = StepResult(
            number, step, "rung", steps=range(before + 1, step + 1), metrics=metrics,
            seconds_training=training[number], seconds_overhead=overhead[number],
        )  # fmt: skip
        if search.report(result):
            train_to_next_rung(record, 0.0)
