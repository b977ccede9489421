"""Best so far: the best objective of a set of trials against the steps and the time that they have used together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trainers.objective import Objective
from tuning.study.trial_record import TrialRecord


class Point(NamedTuple):
    """The state after a rung: steps and seconds of workers used by all trials until then, and the best objective."""

    steps: int
    seconds: float
    best: float


def best_so_far(records: Iterable[TrialRecord], objective: Objective) -> list[Point]:
    """One point per rung, in the order in which the rungs were reached.

    Failed trials, and those that train another again, add to steps and time, but their values are ignored.
    """
    rungs = []
    for record in records:
        steps, seconds = record.began_at, 0.0
        for rung in record.rungs:
            counts = record.state != "failed" and record.repeats is None
            value = rung.value if counts else None
            rungs.append((rung.time, record.number, rung.step - steps, rung.seconds - seconds, value))
            steps, seconds = rung.step, rung.seconds
    points: list[Point] = []
    total_steps, total_seconds = 0, 0.0
    best: float | None = None
    for _, _, more_steps, more_seconds, value in sorted(rungs, key=lambda rung: rung[:2]):
        total_steps, total_seconds = total_steps + more_steps, total_seconds + more_seconds
        if value is not None and (best is None or objective.better(value, best)):
            best = value
        if best is not None:
            points.append(Point(total_steps, total_seconds, best))
    return points


def first_reaching(points: Iterable[Point], level: float, objective: Objective) -> Point | None:
    """The first point at which the best objective is at least as good as `level`; None if there is none."""
    return next((point for point in points if not objective.better(level, point.best)), None)
