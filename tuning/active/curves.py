"""Learning curves over labels: of each strategy over seeds, how far it is ahead of the control, and labels saved.

Seeds are paired: all strategies of a seed begin with the same images and the same network. So a difference is taken seed
by seed, and its 95% interval is Student's t over seeds. Of several strategies that are compared with one control, each
interval is widened by Bonferroni's correction, so that all hold at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tuning.active.outcome import Outcome
from tuning.active.simulation import Simulation, Step
from tuning.reporting.statistics.bootstrap import LEVEL, Interval


@dataclass(frozen=True, eq=False)
class Curves:
    """labels: (N,) int64, rising. values: the metric of each strategy, (S, N) float64, a row for each seed."""

    labels: np.ndarray
    values: Mapping[str, np.ndarray]

    @property
    def seeds(self) -> int:
        """How many."""
        return len(next(iter(self.values.values())))


@dataclass(frozen=True)
class Needed:
    """Labels that a strategy needs to reach what the control reaches with `control` labels, its mean `level`.

    labels: by the mean curve; None if it does not reach it.
    fewest, most: the 95% interval; None where it ends beyond the last number of labels, or with a single seed.
    """

    level: float
    control: int
    labels: float | None
    fewest: float | None
    most: float | None


def of_outcomes(simulation: Simulation, done: Mapping[Step, Outcome], metric: str) -> Curves | None:
    """The curves over the seeds for which all strategies have ended without a failure; None if there is none."""
    rows: dict[str, list[list[float]]] = {name: [] for name in simulation.strategies}
    for seed in range(simulation.seeds):
        of_seed = {}
        for name in simulation.strategies:
            steps = [Step(seed, name if cycle else None, cycle) for cycle in range(simulation.cycles + 1)]
            found = [done[step] for step in steps if step in done and not done[step].failure]
            of_seed[name] = [outcome.metrics[metric] for outcome in found]
        if all(len(values) == simulation.cycles + 1 for values in of_seed.values()):
            for name, values in of_seed.items():
                rows[name].append(values)
    if not rows[simulation.strategies[0]]:
        return None
    return Curves(np.array(simulation.labels), {name: np.array(each) for name, each in rows.items()})


def areas(curves: Curves, name: str) -> np.ndarray:
    """(S,) The area under the curve of each seed, by trapezoids, over the range of labels: the mean of the metric."""
    span = curves.labels[-1] - curves.labels[0]
    found: np.ndarray = np.trapezoid(curves.values[name], curves.labels, axis=1) / span
    return found


def interval(samples: np.ndarray, among: int = 1) -> Interval | None:
    """The mean of a sample for each seed and its 95% interval, one of `among` that hold at once; None for one seed."""
    if len(samples) < 2:
        return None
    middle, half = float(samples.mean()), float(_half(samples, among))
    return Interval(middle, middle - half, middle + half)


def lead(curves: Curves, name: str, control: str) -> Interval | None:
    """By how much the area under a strategy's curve is larger than the control's."""
    return interval(areas(curves, name) - areas(curves, control), len(curves.values) - 1)


def needed(curves: Curves, name: str, control: str, place: int) -> Needed:
    """How many labels `name` needs for what `control` reaches at the place-th number of labels.

    The interval has every number of labels at which the difference to the control's values does not differ from 0: the
    inversion of a t test (Casella and Berger, "Statistical Inference", 2002, section 9.2.1). Between two measured
    numbers of labels the curve of each seed is linear.
    """
    numbers = np.arange(curves.labels[0], curves.labels[-1] + 1)
    reached = curves.values[control][:, place]
    values = np.stack([np.interp(numbers, curves.labels, row) for row in curves.values[name]])
    ahead = values - reached[:, np.newaxis]
    mean = ahead.mean(axis=0)
    fewest = most = None
    if len(ahead) > 1:
        half = _half(ahead, len(curves.values) - 1)
        fewest, most = _first(numbers, mean + half), _first(numbers, mean - half)
    level, count = float(reached.mean()), int(curves.labels[place])
    return Needed(level, count, _first(numbers, mean), fewest, most)


def _first(numbers: np.ndarray, ahead: np.ndarray) -> float | None:
    """The first of the numbers at which `ahead` is not negative; None if there is none."""
    found = np.flatnonzero(ahead >= -1e-12)
    return float(numbers[found[0]]) if len(found) else None


def _half(samples: np.ndarray, among: int) -> np.ndarray:
    """Half the width of the interval of the mean over seeds, the first dimension of `samples`."""
    quantile = float(stdtrit(len(samples) - 1, 1 - (1 - LEVEL) / 2 / among))
    half: np.ndarray = quantile * samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    return half
