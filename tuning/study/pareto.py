"""Pareto fronts: which of several points none of the others is better than in every respect, and what they dominate."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from trainers.objective import Objective, Score
from tuning.study.trial_record import TrialRecord


def fronts(points: np.ndarray) -> np.ndarray:
    """(N, M) float, larger is better in each of M respects -> (N,) int: 0 on the front, 1 on the next one, and so on.

    By non-dominated sorting (Deb et al. 2002, NSGA-II): the next front is that of the points that are left.
    """
    if points.shape[1] == 2:
        return _fronts_in_a_plane(points)
    found = np.zeros(len(points), int)
    at_least: np.ndarray = np.all(points[:, None, :] >= points[None, :, :], axis=2)
    dominates = (
        at_least & ~at_least.T
    )  # (N, N): the first is nowhere worse than the second, and somewhere better
    left, level = np.ones(len(points), bool), 0
    while left.any():
        there = left & ~dominates[left].any(axis=0)
        found[there] = level
        left &= ~there
        level += 1
    return found


def _fronts_in_a_plane(points: np.ndarray) -> np.ndarray:
    """`fronts` of (N, 2) points, in N log N steps.

    After Jensen, "Reducing the run-time complexity of multiobjective EAs", IEEE Trans. Evol. Comp. 2003. Points come by
    the first value, largest first. Those of a front that have come before dominate the next point if the highest second
    value among them is at least its own; these highest values fall from front to front.
    """
    found = np.zeros(len(points), int)
    highest: list[float] = []  # of each front, negated, so that it rises
    before: tuple[np.ndarray, int] | None = None
    for place in np.lexsort((-points[:, 1], -points[:, 0])):
        point = points[place]
        if before is None or (point != before[0]).any():  # equal points are on one front
            level = bisect.bisect_right(highest, -point[1])
            highest[level : level + 1] = [-float(point[1])]
            before = point, level
        found[place] = before[1]
    return found


def levels(scores: Sequence[Score]) -> list[int]:
    """The front of each score (`fronts`) by its objective and the further ones; 0 where there are no further ones."""
    if not any(score.also for score in scores):
        return [0] * len(scores)
    return [int(level) for level in fronts(np.array([(score.key[0], *score.also) for score in scores]))]


def crowding(points: np.ndarray) -> np.ndarray:
    """(N, M) float, points of one front -> (N,) float: how far the neighbours of each are apart; infinite at the ends.

    The crowding distance of NSGA-II (Deb et al. 2002): added up over the M respects, each scaled to its range.
    """
    found = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        found[order[[0, -1]]] = np.inf
        if ordered[-1] > ordered[0]:
            found[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
    return found


def hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """The volume between the reference point (M,) and (N, M) points, larger is better; what is below it counts nothing.

    By slices along the last respect: exact, and fast enough for the few points of a front.
    """
    above = points[(points > reference).all(axis=1)]
    if not len(above):
        return 0.0
    if points.shape[1] == 1:
        return float(above.max() - reference[0])
    volume, below = 0.0, float(reference[-1])
    for level in np.unique(above[:, -1]):  # rising; a slice is made of all points that reach it
        reaches = above[above[:, -1] >= level][:, :-1]
        volume += (float(level) - below) * hypervolume(reaches, reference[:-1])
        below = float(level)
    return volume


def values(record: TrialRecord, objective: Objective) -> tuple[float, ...]:
    """The objective and the further ones of a measured trial at its last rung, larger is better."""
    last = record.rungs[-1]
    own = -last.value if objective.direction == "minimize" else last.value
    return (own, *last.score.also)


def front(records: Sequence[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """The completed trials that no other is better than in every respect, best objective first.

    Of trials that are equal in all of them, the first. Empty where the objective is the only one.
    """
    known = _comparable(records, objective)
    if not objective.also or not known:
        return []
    points = np.array([values(record, objective) for record in known])
    chosen: dict[tuple[float, ...], TrialRecord] = {}
    for place in np.flatnonzero(fronts(points) == 0):
        chosen.setdefault(tuple(points[place]), known[place])
    return sorted(chosen.values(), key=lambda record: values(record, objective), reverse=True)


def dominated_share(records: Sequence[TrialRecord], objective: Objective) -> float | None:
    """The hypervolume of the completed trials' front as a share of the box that all their values span; progress, 0 to 1.

    None with fewer than two completed trials, or where they all are equal in some respect.
    """
    known = _comparable(records, objective)
    if not objective.also or len(known) < 2:
        return None
    points = np.array([values(record, objective) for record in known])
    low, high = points.min(axis=0), points.max(axis=0)
    if (high <= low).any():
        return None
    unit = (points - low) / (high - low)
    return hypervolume(unit, np.full(unit.shape[1], -0.1)) / float(1.1 ** unit.shape[1])


def _comparable(records: Sequence[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """The completed trials of which all objectives are known; their repeats, perhaps on other images, are none."""
    completed = [record for record in records if record.state == "completed" and record.repeats is None]
    return [record for record in completed if len(record.rungs[-1].score.also) == len(objective.also)]
