"""FullTraining: a scheduler without early stopping, the baseline for measuring what early stopping gains."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from trainers.objective import Score
from tuning.search.scheduler import Judgement, register


@dataclass
class FullTraining:
    """Every trial takes all its steps, and is evaluated at each rung.

    rungs: steps, rising.
    """

    rungs: Sequence[int]
    reduction_factor: int = 1
    pauses: bool = False
    _scores: dict[int, dict[int, Score]] = field(default_factory=dict)

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """All rungs."""
        return tuple(self.rungs)

    def measured(self, trial: int, step: int) -> bool:
        """Whether the trial's score at the rung `step` is known."""
        return trial in self._scores.get(step, {})

    def record(self, trial: int, step: int, score: Score) -> None:
        """Record a score; if it is recorded again, the first one counts. Raises ValueError for a NaN."""
        if any(math.isnan(value) for value in score.values):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        self._scores.setdefault(step, {}).setdefault(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """Always "continue", with the trial's rank at the rung."""
        there = self._scores[step]
        better = sum(score.key > there[trial].key for score in there.values())
        return Judgement("continue", 1 + better, len(there), None)

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The first waiting trial, if any. (Only trials that another scheduler paused wait.)"""
        return min(waiting, default=None)

    def promote(self, trial: int, step: int) -> None:
        """Does nothing."""

    def hopeless(self, waiting: Mapping[int, int], trials: int | None) -> list[int]:
        """Always empty."""
        return []

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """The waiting trial with the best score at the highest rung."""
        return max(
            waiting, key=lambda trial: (waiting[trial], self._scores[waiting[trial]][trial].key, -trial)
        )


register("full", lambda rules: FullTraining(rules.rungs))
