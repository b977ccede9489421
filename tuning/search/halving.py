"""Successive halving, asynchronous: which trial goes on past a rung. Pure decisions; knows neither Ray nor Optuna.

The rules of ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), stopping or
promoting, with what detection needs: nobody is stopped before a quorum has reached the rung, and equal mAPs are told
apart.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainers.errors import UserError

Mode = Literal["stop", "promote"]
Decision = Literal["goes on", "stops", "waits"]
# mAPs that print as the same thousandth are a tie
TIE = 0.001
# a smaller mAP is chance, as is an mAP50 four times as small: most trials have one at the first rung, and by it would be
# ranked worse than by a coin, while the loss tells them apart (tests/benchmarks/rungs.py)
CHANCE = 0.005
TOTAL_LOSS = "validation_loss/total"
DETECTION_LOSS = ("validation_loss/classification", "validation_loss/localization")
# before so many steps no detector shows what it will become; but there are always two rungs, and at most four
FIRST_RUNG, MOST_RUNGS = 30, 4
# validation images for all rungs but the last: evaluating thousands can take longer than the steps to the first rung
EARLY_IMAGES = 500


@dataclass(frozen=True)
class Score:
    """What a rung is judged by.

    mAP, mAP50: 0..1, larger is better; loss: validation loss, smaller is better, breaks what ties the two leave.
    """

    mAP: float
    mAP50: float = 0.0
    loss: float = math.inf

    @classmethod
    def of(cls, metrics: Mapping[str, float]) -> Score:
        """That of an evaluation (trainers.metrics.Metrics.flat), which has the mAP at least.

        The loss is what boxes and classes cost: regularization would only tell trials' weights of it apart.
        """
        parts = [metrics[name] for name in DETECTION_LOSS if name in metrics]
        loss = sum(parts) if len(parts) == len(DETECTION_LOSS) else metrics.get(TOTAL_LOSS, math.inf)
        return cls(metrics["mAP"], metrics.get("mAP50", 0.0), loss)

    @property
    def key(self) -> tuple[int, int, float]:
        """Sorts from worse to better, ties in mAP broken by mAP50, ties in that by the loss."""
        mean = self.mAP if self.mAP >= CHANCE else 0.0
        mean50 = self.mAP50 if self.mAP50 >= 4 * CHANCE else 0.0
        return round(mean / TIE), round(mean50 / TIE), -self.loss

    @property
    def merit(self) -> float:
        """The order of `key` in one number: thousandths of mAP, and a fraction of one by which ties are broken."""
        mean, mean50, loss = self.key
        own = 0.5 + math.atan(loss) / math.pi  # 0..1, larger is better
        return mean + (mean50 + own) * TIE / (1 + 2 * TIE)


@dataclass(frozen=True)
class Judgement:
    """What the rule says of one trial at one rung.

    decision: "goes on", "stops", or "waits" for its promotion; at the last rung it goes on, that is, it is done.
    rank: its place among `of` trials that have reached the rung, from 1, at the time of asking.
    cutoff: the worst score that goes on; None where all do: before the quorum, and at the last rung.
    """

    decision: Decision
    rank: int
    of: int
    cutoff: Score | None

    def reason(self, score: Score) -> str:
        """One line for a person: the place that `score` took, and by what a tie was broken."""
        line = f"ranked {self.rank} of {self.of}: mAP {score.mAP:.3f}"
        if self.cutoff is None or score.key >= self.cutoff.key:
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
class _Scores:
    """What the trials of one bracket measured at one rung; `ordered` are the same, from worse to better.

    promoted: how many of them were taken up past it.
    """

    of: dict[int, Score] = field(default_factory=dict)
    ordered: list[Score] = field(default_factory=list)
    promoted: int = 0

    def add(self, trial: int, score: Score) -> None:
        self.of[trial] = score
        bisect.insort(self.ordered, score, key=_key)

    def better_than(self, score: Score) -> int:
        return len(self.ordered) - bisect.bisect_right(self.ordered, score.key, key=_key)


def _key(score: Score) -> tuple[int, int, float]:
    return score.key


@dataclass
class Halving:
    """Every trial's score at every rung so far, and the rule over them.

    rungs: steps, rising; nobody is stopped at the last one.
    reduction_factor: of the trials at a rung, one in so many goes on.
    quorum: at a rung that fewer trials have reached, nobody is stopped (and nobody promoted).
    mode: "stop" decides when a trial reaches a rung, so early ones go further than they merit; "promote" lets all wait
        with a checkpoint, and takes the best up as the rung fills.
    brackets: of so many kinds of trials, the b-th skips the first b rungs, against judging too early. A trial's kind
        is drawn by `seed` and its number, as often as Hyperband's brackets have trials.
    """

    rungs: Sequence[int]
    reduction_factor: int = 3
    quorum: int = 3
    mode: Mode = "stop"
    brackets: int = 1
    seed: int = 0
    _rungs: dict[tuple[int, int], _Scores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.brackets <= len(self.rungs):
            raise UserError(
                f"--brackets must be 1 to {len(self.rungs)} with rungs at {self.rungs}, not {self.brackets}"
            )

    def bracket(self, trial: int) -> int:
        """How many of the first rungs the trial skips."""
        if self.brackets == 1:
            return 0
        most = self.brackets - 1
        weights = [
            (most + 1) / (most - b + 1) * self.reduction_factor ** (most - b) for b in range(self.brackets)
        ]
        return random.Random(self.seed * 1_000_003 + trial).choices(range(self.brackets), weights)[0]

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """The rungs at which the trial is measured."""
        return tuple(self.rungs[self.bracket(trial) :])

    def measured(self, trial: int, step: int) -> bool:
        """Whether the trial's score at the rung `step` is known."""
        return trial in self._at(trial, step).of

    def record(self, trial: int, step: int, score: Score) -> None:
        """Note what `trial` measured at the rung `step`. Said twice (a resumed trial), the first word counts."""
        if not math.isfinite(score.mAP) or math.isnan(score.loss):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        if not self.measured(trial, step):
            self._at(trial, step).add(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """What becomes of `trial`, whose score at the rung `step` is recorded."""
        rung = self._at(trial, step)
        own = rung.of[trial]
        rank, of = 1 + rung.better_than(own), len(rung.of)
        if step >= self.rungs[-1]:
            return Judgement("goes on", rank, of, None)
        cutoff = self._cutoff(rung)
        if self.mode == "promote":
            return Judgement("waits", rank, of, cutoff)
        stops = cutoff is not None and own.key < cutoff.key
        return Judgement("stops" if stops else "goes on", rank, of, cutoff)

    def promotable(
        self, waiting: Mapping[int, int], more: bool, handy: Container[int] = frozenset()
    ) -> int | None:
        """The trial to take up past its rung: the best that merits it, at the highest rung where one does.

        waiting: the step of the rung that each waiting trial has reached, by trial.
        more: whether more trials will come. Until then no more are taken up than one in `reduction_factor`, or of
            trials that come in the order of their merit all would be.
        handy: trials that come first where all that merit it at the rung are about to be taken up anyway.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for trial, step in waiting.items():
            rung = self._at(trial, step)
            cutoff = self._cutoff(rung)
            if cutoff is None or (more and rung.promoted >= self._merited(rung)):
                continue
            if rung.of[trial].key >= cutoff.key:
                found.setdefault((step, self.bracket(trial)), []).append(trial)

        def merit(trial: int) -> tuple[int, tuple[int, int, float], int]:
            return waiting[trial], self._at(trial, waiting[trial]).of[trial].key, -trial

        if not found:
            return None
        best = max((trial for trials in found.values() for trial in trials), key=merit)
        rung, trials = self._at(best, waiting[best]), found[waiting[best], self.bracket(best)]
        if not more or rung.promoted + len(trials) <= self._merited(rung):
            trials = [trial for trial in trials if trial in handy] or trials
        return max(trials, key=merit)

    def promote(self, trial: int, step: int) -> None:
        """Note that `trial` was taken up past the rung `step`."""
        self._at(trial, step).promoted += 1

    def hopeless(self, waiting: Mapping[int, int], trials: int) -> list[int]:
        """Those that wait at their first rung in vain: as many have done better there as can ever merit going on.

        trials: how many there will be at the most.
        """
        most = max(1, trials // self.reduction_factor)
        found = []
        for trial, step in waiting.items():
            rung = self._at(trial, step)
            if step == self.rungs_of(trial)[0] and rung.better_than(rung.of[trial]) >= most:
                found.append(trial)
        return found

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """Of the waiting trials the best at the highest rung."""
        return max(
            waiting, key=lambda trial: (waiting[trial], self._at(trial, waiting[trial]).of[trial].key, -trial)
        )

    def _at(self, trial: int, step: int) -> _Scores:
        return self._rungs.setdefault((self.bracket(trial), step), _Scores())

    def _cutoff(self, rung: _Scores) -> Score | None:
        """The worst score that merits going on."""
        if len(rung.of) < self.quorum:
            return None
        return rung.ordered[-self._merited(rung)]

    def _merited(self, rung: _Scores) -> int:
        """How many of the rung's trials merit going on."""
        return max(1, len(rung.of) // self.reduction_factor)
