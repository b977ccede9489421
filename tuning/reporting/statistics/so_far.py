"""So far: the best objective of some trials after each rung, by the steps and the time that they had cost by then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trainers.objective import Objective
from tuning.study.trial_record import TrialRecord


class Point(NamedTuple):
    """After a rung: gradient steps and seconds of workers so far, of all the trials together, and the best objective."""

    steps: int
    seconds: float
    best: float


def so_far(records: Iterable[TrialRecord], objective: Objective) -> list[Point]:
    """The points, in the order in which the rungs were reached; failed trials cost, and do not count."""
    rungs = []
    for record in records:
        steps, seconds = 0, 0.0
        for rung in record.rungs:
            value = None if record.state == "failed" else rung.value
            rungs.append((rung.time, record.number, rung.step - steps, rung.seconds - seconds, value))
            steps, seconds = rung.step, rung.seconds
    points: list[Point] = []
    spent, passed = 0, 0.0
    best: float | None = None
    for _, _, more_steps, more_seconds, value in sorted(rungs, key=lambda rung: rung[:2]):
        spent, passed = spent + more_steps, passed + more_seconds
        if value is not None and (best is None or objective.better(value, best)):
            best = value
        if best is not None:
            points.append(Point(spent, passed, best))
    return points


def reaching(points: Iterable[Point], level: float, objective: Objective) -> Point | None:
    """The first point at which the best is at least as good as `level`; None if it never is."""
    return next((point for point in points if not objective.better(level, point.best)), None)
