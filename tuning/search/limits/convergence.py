"""Convergence: when the next full training is expected to gain less than it is worth (`--until-converged`).

Were the completed trials drawn alike, the next after n would be the best with a probability of 1 / (n + 1),
and better by the mean excess of the best of them, if these thin out exponentially (Renyi's representation of order
statistics). A search that learns draws better ones, and comes closer to what can be reached: the two about cancel out
on the tasks of tests/benchmarks/taskset, where `converging.py` measures what the rule saves and loses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning.search.limits.budget import Spending
from tuning.study.reading import CONVERGED
from tuning.study.study import Study

FEWEST = 4  # completed trials before anything is expected


def expected_gain(scores: Sequence[float], trainings: float) -> float | None:
    """By how much the next full training is expected to raise the best score; None where that cannot be told.

    That is for fewer than FEWEST scores, or without a training for them: known results of an earlier study cost nothing.
    scores: of the completed trials, larger is better. trainings: that the search has taken for them, in full trials.
    """
    count = len(scores)
    if count < FEWEST or not trainings:
        return None
    ordered, best = sorted(scores, reverse=True), max(2, math.ceil(count / 3))
    excess = sum(score - ordered[best] for score in ordered[:best]) / best
    return excess / (count + 1) * count / trainings


class Convergence:
    """Of one search. worth: the gain for which a full training is worth its cost; None to never converge."""

    def __init__(self, study: Study, spending: Spending, worth: float | None) -> None:
        self._study = study
        self._spending = spending
        self._worth = worth

    def reached(self) -> bool:
        """Whether the search has converged. The study notes what was expected when it had, until it has not any more."""
        if self._worth is None:
            return False
        sign = -1.0 if self._study.objective.direction == "minimize" else 1.0
        completed = [r for r in self._study.records() if r.state == "completed" and r.repeats is None]
        trainings = self._spending.trainings
        gain = expected_gain([sign * record.rungs[-1].value for record in completed], trainings)
        reached = gain is not None and gain < self._worth
        if reached != (self._study.attribute(CONVERGED) is not None):
            noted = {"expected_gain": gain, "worth": self._worth, "trainings": trainings}
            self._study.set_attribute(CONVERGED, noted if reached else None)
        return reached


def line(noted: Mapping[str, float], objective: str) -> str:
    """What a study has noted, for people."""
    return (
        f"converged after {noted['trainings']:.1f} trainings: the next was expected to gain "
        f"{noted['expected_gain']:.4f} of {objective}, less than the {noted['worth']:g} that it is worth"
    )
