"""Side by side: how much sooner trials end that train at once on a machine's CPUs than one after the other on all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.branch import Branch
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from tuning.api.forecast.graphs import expected_graphs
from tuning.api.forecast.speed import COLD_SECONDS, WARM_SECONDS
from tuning.search.limits.expectation import all_steps, expected
from tuning.search.scheduler import Scheduler

WORTH = 1.25  # least gain for several workers: the last trial runs alone on a part of the CPUs
USUAL_TRIALS = 20  # of a search whose number of trials is not limited


@dataclass(frozen=True)
class OneTrial:
    """What a trial of a search takes, in the mean.

    steps: gradient steps. serial: seconds that more CPUs do not shorten: its graph is built, and it is evaluated.
    branches: of the space.
    """

    steps: float
    serial: float
    branches: Sequence[Branch]

    def seconds(self, conditions: Conditions, cpus: float) -> float:
        """On so many CPUs. Where a model's speed is not known, relative to its training on one of them."""
        found = []
        for branch in self.branches:
            pixels = branch.fixed(conditions)["image_size"] ** 2 * max(branch.batch_sizes(conditions))
            step = branch.about.cost.step_seconds(pixels, cpus)
            if step is None:
                return sum(1 / each.about.cost.speedup(cpus) for each in self.branches) / len(self.branches)
            found.append(self.serial + self.steps * step * branch.mean_cost(conditions))
        return sum(found) / len(found)


def workers(
    space: Space, conditions: Conditions, scheduler: Scheduler, trials: int | None, cpus: int, most: int
) -> int:
    """`most` where that is worth it, or one.

    Two trials on one CPU each mostly end sooner than one after the other on both (benchmarks/training/threads.py), and
    the more so, the more of them have a graph of their own to build.
    """
    return most if most > 1 and gain(space, conditions, scheduler, trials, cpus, most) >= WORTH else 1


def gain(
    space: Space, conditions: Conditions, scheduler: Scheduler, trials: int | None, cpus: int, most: int
) -> float:
    """How many times sooner the trials of a search end when `most` train at once, each on its share of the CPUs.

    trials: their number; None if it is not limited.
    """
    count = trials or USUAL_TRIALS
    arrivals, evaluations = expected(scheduler, count)
    serial = COLD_SECONDS * expected_graphs(space, conditions, count) + WARM_SECONDS * evaluations
    trial = OneTrial(all_steps(scheduler.rungs, arrivals) / count, serial / count, space.branches)
    return most * trial.seconds(conditions, cpus) / trial.seconds(conditions, cpus // most)
