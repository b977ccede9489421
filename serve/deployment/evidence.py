"""Evidence about a canary: what it and the champion found in the same images, and what follows from it.

Frames of one video resemble each other: 200 of them may be four seconds of one street. So the unit is the job, or a
minute of image requests, and the spread between units decides how certain the result is.
"""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from serve.deployment.database import Database

CONFIDENCE = 0.99  # of the interval of the ratio
UNDECIDED = 10  # times Bounds.jobs: after so many units the best estimate decides


@dataclass(frozen=True)
class Bounds:
    """When a canary is promoted or rolled back.

    images, jobs: how many it must have shared with the champion before it is judged. errors: share of images it may
    fail on. fewer, more: how many objects fewer and more than the champion it may find, as a share of the champion's.
    """

    images: int = 200
    errors: float = 0.01
    fewer: float = 0.15
    more: float = 0.5
    jobs: int = 20


class Evidence:
    """Pairs of counts by unit, collected in memory and written by `flush`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(3))

    def add(self, candidate: str, unit: str, ours: int, theirs: int) -> None:
        """In one image of this unit the candidate found `ours` objects, and the champion `theirs`."""
        with self._lock:
            self._pending[candidate, unit] += (1, ours, theirs)

    def flush(self) -> None:
        """Write what was collected to the database. When that fails, it is kept for the next time."""
        with self._lock:
            pending, self._pending = self._pending, defaultdict(lambda: np.zeros(3))
        if not pending:
            return
        try:
            with self._database.transaction() as db:
                db.executemany(
                    "INSERT INTO evidence VALUES (?, ?, ?, ?, ?) ON CONFLICT (candidate, unit) DO UPDATE SET "
                    "images = evidence.images + excluded.images, ours = evidence.ours + excluded.ours, "
                    "theirs = evidence.theirs + excluded.theirs",
                    [(*key, *counts.tolist()) for key, counts in pending.items()],
                )
        except Exception:
            with self._lock:
                for key, counts in pending.items():
                    self._pending[key] += counts
            raise

    def units(self, candidate: str) -> np.ndarray:
        """(N, 3): for each unit the number of images, and of the candidate's and the champion's objects in them."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT images, ours, theirs FROM evidence WHERE candidate = ?", (candidate,)
            ).fetchall()
        return np.array([tuple(row) for row in rows], float).reshape(-1, 3)


def judge_errors(images: float, errors: float, bounds: Bounds) -> str | None:
    """The reason to roll the canary back because of its errors, or None. images, errors: of the canary."""
    tried = images + errors
    if errors > bounds.errors * max(tried, bounds.images):
        return f"failed on {errors:.0f} of {tried:.0f} images"
    return None


def judge(units: np.ndarray, bounds: Bounds) -> str | None:
    """None: too early. "": promote the canary. Otherwise the reason to roll it back. units: see Evidence.units.

    The canary is promoted when the confidence interval of the ratio lies within the bounds, and rolled back when it
    lies outside.
    """
    if len(units) < bounds.jobs or units[:, 0].sum() < bounds.images:
        return None
    low, ratio, high = ratio_interval(units[:, 1], units[:, 2])
    least, most = 1 - bounds.fewer, 1 + bounds.more
    if len(units) >= UNDECIDED * bounds.jobs:
        low = high = ratio
    if least <= low and high <= most:
        return ""
    if high < least or low > most:
        return (
            f"finds {ratio:.2f} times as much as the present model in the same images "
            f"({CONFIDENCE:.0%} interval {low:.2f} to {high:.2f}, {len(units)} jobs)"
        )
    return None


def ratio_interval(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """(low, estimate, high) of sum(ours) / sum(theirs), with the units as clusters.

    ours, theirs: (N,) counts. The linearised variance of a ratio estimator (Cochran, Sampling Techniques, 6.4), with
    Student's t; without spread, or with one unit, low and high are the estimate.
    """
    count, total = len(ours), max(float(theirs.sum()), 1.0)
    ratio = float(ours.sum()) / total if theirs.any() or ours.any() else 1.0
    if count < 2:
        return ratio, ratio, ratio
    residuals = ours - ratio * theirs
    half = _student(count - 1) * float(np.sqrt(count / (count - 1) * (residuals**2).sum())) / total
    return ratio - half, ratio, ratio + half


@functools.cache
def _student(freedom: int) -> float:
    from scipy.stats import t  # takes half a second to import

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def evenly(count: int, wanted: int) -> int:
    """The step at which `wanted` of `count` images are spread over all of them; with an unknown count of 0, 8."""
    return max(1, count // wanted) if count else 8
