"""Successive halving, asynchronous: which trial goes on past a rung. Pure decisions; knows neither Ray nor Optuna.

The stopping rule of ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), with what
detection needs: nobody is stopped before a quorum has reached the rung, and equal mAPs are told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainers.errors import UserError

# mAPs that print as the same thousandth are a tie: early in training most are 0.000
TIE = 0.001
# before so many steps no detector shows what it will become; but there are always two rungs, and at most four
FIRST_RUNG, MOST_RUNGS = 40, 4


@dataclass(frozen=True)
class Score:
    """What a rung is judged by.

    mAP, mAP50: 0..1, larger is better; loss: validation loss, smaller is better, breaks what ties the two leave.
    """

    mAP: float
    mAP50: float = 0.0
    loss: float = math.inf

    @property
    def key(self) -> tuple[int, int, float]:
        """Sorts from worse to better, ties in mAP broken by mAP50, ties in that by the loss."""
        return round(self.mAP / TIE), round(self.mAP50 / TIE), -self.loss


@dataclass(frozen=True)
class Judgement:
    """What the rule says of one trial at one rung.

    go_on: whether it trains to the next rung (or, at the last, is done).
    rank: its place among `of` trials that have reached the rung, from 1, at the time of asking.
    cutoff: the worst score that goes on; None where all do: before the quorum, and at the last rung.
    """

    go_on: bool
    rank: int
    of: int
    cutoff: Score | None

    def reason(self, score: Score) -> str:
        """One line for a person: the place that `score` took, and by what a tie was broken."""
        line = f"ranked {self.rank} of {self.of}: mAP {score.mAP:.3f}"
        if self.cutoff is None or self.go_on:
            return line
        line += f", cutoff {self.cutoff.mAP:.3f}"
        own, cutoff = score.key, self.cutoff.key
        if own[0] != cutoff[0]:
            return line
        if own[1] != cutoff[1]:
            return f"{line} (a tie, broken by mAP50: {score.mAP50:.3f} to {self.cutoff.mAP50:.3f})"
        return f"{line} (a tie, broken by validation loss: {score.loss:.4g} to {self.cutoff.loss:.4g})"


def rung_steps(max_steps: int, reduction_factor: int = 3) -> tuple[int, ...]:
    """The steps at which trials are compared, rising: `max_steps`, and each before it a `reduction_factor`th.

    Raises UserError when `max_steps` cannot hold one rung.
    """
    if max_steps < 1:
        raise UserError(f"--max-steps must be at least 1, not {max_steps}")
    count = 1 + int(math.log(max(1.0, max_steps / FIRST_RUNG), reduction_factor) + 1e-9)
    count = min(max(count, 2), MOST_RUNGS)
    return tuple(sorted({math.ceil(max_steps / reduction_factor**power) for power in range(count)}))


@dataclass
class Halving:
    """Every trial's score at every rung so far, and the rule over them.

    rungs: steps, rising; nobody is stopped at the last one.
    reduction_factor: of the trials at a rung, one in so many goes on.
    quorum: at a rung that fewer trials have reached, all go on.
    """

    rungs: Sequence[int]
    reduction_factor: int = 3
    quorum: int = 3
    scores: dict[int, dict[int, Score]] = field(default_factory=dict)

    def record(self, trial: int, step: int, score: Score) -> None:
        """Note what `trial` measured at the rung `step`. Said twice (a resumed trial), the first word counts."""
        if not math.isfinite(score.mAP) or math.isnan(score.loss):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        self.scores.setdefault(step, {}).setdefault(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """Whether `trial`, whose score at the rung `step` is recorded, goes on."""
        scores = self.scores[step]
        own = scores[trial].key
        better = sum(score.key > own for score in scores.values())
        of = len(scores)
        if step >= self.rungs[-1] or of < self.quorum:
            return Judgement(True, better + 1, of, None)
        kept = max(1, of // self.reduction_factor)
        cutoff = sorted(scores.values(), key=lambda score: score.key, reverse=True)[kept - 1]
        return Judgement(better < kept, better + 1, of, cutoff)

    def next_rung(self, step: int) -> int:
        """The first rung after `step`; the last one when there is none."""
        return next((rung for rung in self.rungs if rung > step), self.rungs[-1])
