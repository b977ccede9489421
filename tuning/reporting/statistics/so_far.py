"""So far: the best mAP of some trials after each rung, by the steps and the time that they had cost by then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tuning.study.trial_record import TrialRecord


class Point(NamedTuple):
    """After a rung: gradient steps and seconds of workers so far, of all the trials together, and the best mAP."""

    steps: int
    seconds: float
    best: float


def so_far(records: Iterable[TrialRecord]) -> list[Point]:
    """The points, in the order in which the rungs were reached; failed trials cost, and do not count."""
    rungs = []
    for record in records:
        steps, seconds = 0, 0.0
        for rung in record.rungs:
            mAP = 0.0 if record.state == "failed" else rung.mAP
            rungs.append((rung.time, record.number, rung.step - steps, rung.seconds - seconds, mAP))
            steps, seconds = rung.step, rung.seconds
    points: list[Point] = []
    steps, seconds, best = 0, 0.0, 0.0
    for _, _, more_steps, more_seconds, mAP in sorted(rungs):
        steps, seconds, best = steps + more_steps, seconds + more_seconds, max(best, mAP)
        points.append(Point(steps, seconds, best))
    return points


def reaching(points: Iterable[Point], level: float) -> Point | None:
    """The first point at which the best is at least `level`; None if it never is."""
    return next((point for point in points if point.best >= level), None)
