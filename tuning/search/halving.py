"""Asynchronous successive halving (ASHA): decides which trials go on past a rung. Independent of Ray and Optuna.

The rules are ASHA's (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), in its stopping
and its promotion variant, with two additions: no trial is stopped or promoted before a quorum has reached the rung, and
ties of the objective are broken by the objective's tie-breakers.
"""

from __future__ import annotations

import bisect
import functools
import math
import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainers.errors import UserError
from trainers.objective import Score
from tuning.search.scheduler import Judgement, Rules, register

Mode = Literal["promote", "stop"]


@dataclass
class _RungScores:
    """The scores of one bracket at one rung: by trial, and ordered from worst to best.

    promoted: number of these trials that were promoted past the rung.
    """

    by_trial: dict[int, Score] = field(default_factory=dict)
    ordered: list[Score] = field(default_factory=list)
    promoted: int = 0

    def add(self, trial: int, score: Score) -> None:
        self.by_trial[trial] = score
        bisect.insort(self.ordered, score, key=_key)

    def better_than(self, score: Score) -> int:
        return len(self.ordered) - bisect.bisect_right(self.ordered, score.key, key=_key)


def _key(score: Score) -> tuple[float, ...]:
    return score.key


@dataclass
class Halving:
    """ASHA over the scores of all trials at all rungs.

    rungs: steps, rising; no trial is stopped at the last one.
    reduction_factor: one in so many trials passes a rung.
    quorum: number of trials that must reach a rung before any is stopped or promoted there.
    mode: "stop" decides at once when a trial reaches a rung, so the first trials pass more easily than later ones;
        "promote" pauses every trial at the rung, with a checkpoint, and promotes the best as more trials arrive.
    brackets: number of Hyperband brackets; bracket b skips the first b rungs, so that slow starters survive. A trial's
        bracket is drawn from `seed` and its number, with the probabilities of Hyperband's bracket sizes.
    Raises UserError when there are more brackets than rungs.
    """

    rungs: Sequence[int]
    reduction_factor: int = 3
    quorum: int = 3
    mode: Mode = "stop"
    brackets: int = 1
    seed: int = 0
    _rungs: dict[tuple[int, int], _RungScores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.brackets <= len(self.rungs):
            raise UserError(
                f"--brackets must be 1 to {len(self.rungs)} with rungs at {self.rungs}, not {self.brackets}"
            )

    @property
    def pauses(self) -> bool:
        """Whether trials wait at rungs for promotion."""
        return self.mode == "promote"

    def bracket(self, trial: int) -> int:
        """The trial's bracket: the number of rungs that it skips."""
        if self.brackets == 1:
            return 0
        most = self.brackets - 1
        weights = [
            (most + 1) / (most - b + 1) * self.reduction_factor ** (most - b) for b in range(self.brackets)
        ]
        return random.Random(self.seed * 1_000_003 + trial).choices(range(self.brackets), weights)[0]

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """The rungs at which the trial is evaluated."""
        return tuple(self.rungs[self.bracket(trial) :])

    def measured(self, trial: int, step: int) -> bool:
        """Whether the trial's score at the rung `step` is known."""
        return trial in self._scores_at(trial, step).by_trial

    def record(self, trial: int, step: int, score: Score) -> None:
        """Record a score. If a resumed trial reports it again, the first one counts. Raises ValueError for a NaN."""
        if not math.isfinite(score.value) or any(math.isnan(value) for value in score.values):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        if not self.measured(trial, step):
            self._scores_at(trial, step).add(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """The decision for a trial whose score at the rung `step` is recorded."""
        rung = self._scores_at(trial, step)
        own = rung.by_trial[trial]
        rank, of = 1 + rung.better_than(own), len(rung.by_trial)
        if step >= self.rungs[-1]:
            return Judgement("continue", rank, of, None)
        cutoff = self._cutoff(rung)
        if self.mode == "promote":
            return Judgement("pause", rank, of, cutoff)
        stops = cutoff is not None and own.key < cutoff.key
        return Judgement("stop" if stops else "continue", rank, of, cutoff)

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The trial to promote now: the best promotable one at the highest rung that has any. None if there is none.

        waiting: the step of the rung at which each paused trial waits, by trial.
        more: whether more trials will come. While they do, at most one in `reduction_factor` is promoted; otherwise
            trials that arrive in rising order of score would all be promoted.
        preferred: trials to promote first when the order does not matter, since all promotable ones at the rung will be.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for trial, step in waiting.items():
            rung = self._scores_at(trial, step)
            cutoff = self._cutoff(rung)
            if cutoff is None or (more and rung.promoted >= self._quota(rung)):
                continue
            if rung.by_trial[trial].key >= cutoff.key:
                found.setdefault((step, self.bracket(trial)), []).append(trial)

        def position(trial: int) -> tuple[int, tuple[float, ...], int]:
            return waiting[trial], self._scores_at(trial, waiting[trial]).by_trial[trial].key, -trial

        if not found:
            return None
        best = max((trial for trials in found.values() for trial in trials), key=position)
        rung, trials = self._scores_at(best, waiting[best]), found[waiting[best], self.bracket(best)]
        if not more or rung.promoted + len(trials) <= self._quota(rung):
            trials = [trial for trial in trials if trial in preferred] or trials
        return max(trials, key=position)

    def promote(self, trial: int, step: int) -> None:
        """Record that `trial` was promoted past the rung `step`."""
        self._scores_at(trial, step).promoted += 1

    def hopeless(self, waiting: Mapping[int, int], trials: int) -> list[int]:
        """The trials waiting at their first rung that can no longer be promoted: too many have a better score there.

        trials: the largest number of trials that the search can have.
        """
        most = max(1, trials // self.reduction_factor)
        found = []
        for trial, step in waiting.items():
            rung = self._scores_at(trial, step)
            if step == self.rungs_of(trial)[0] and rung.better_than(rung.by_trial[trial]) >= most:
                found.append(trial)
        return found

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """The best of the waiting trials at the highest rung."""
        return max(
            waiting,
            key=lambda trial: (
                waiting[trial],
                self._scores_at(trial, waiting[trial]).by_trial[trial].key,
                -trial,
            ),
        )

    def _scores_at(self, trial: int, step: int) -> _RungScores:
        return self._rungs.setdefault((self.bracket(trial), step), _RungScores())

    def _cutoff(self, rung: _RungScores) -> Score | None:
        """The worst score that passes the rung; None before the quorum."""
        if len(rung.by_trial) < self.quorum:
            return None
        return rung.ordered[-self._quota(rung)]

    def _quota(self, rung: _RungScores) -> int:
        """How many of the rung's trials may pass it."""
        return max(1, len(rung.by_trial) // self.reduction_factor)


def _make(mode: Mode, rules: Rules) -> Halving:
    return Halving(rules.rungs, rules.reduction_factor, rules.quorum, mode, rules.brackets, rules.seed)


register("promote", functools.partial(_make, "promote"))
register("stop", functools.partial(_make, "stop"))
