"""Full training: a scheduler that ends no trial early. The baseline that early stopping is measured against."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from trainers.objective import Score
from tuning.search.scheduler import Judgement, register


@dataclass
class FullTraining:
    """Every trial takes all its steps, and is measured at each rung.

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
        """Note a score; of two the first counts. ValueError for a NaN."""
        if any(math.isnan(value) for value in score.values):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        self._scores.setdefault(step, {}).setdefault(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """Continue, with the trial's rank at the rung."""
        there = self._scores[step]
        better = sum(score.key > there[trial].key for score in there.values())
        return Judgement("continue", 1 + better, len(there), None)

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """Any trial that waits: another scheduler paused it, in an earlier run of the study."""
        return min(waiting, default=None)

    def promote(self, trial: int, step: int) -> None:
        """Nothing depends on it."""

    def hopeless(self, waiting: Mapping[int, int], trials: int) -> list[int]:
        """None."""
        return []

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """Of the waiting trials the best at the highest rung."""
        return max(
            waiting, key=lambda trial: (waiting[trial], self._scores[waiting[trial]][trial].key, -trial)
        )


register("full", lambda rules: FullTraining(rules.rungs))
