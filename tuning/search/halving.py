"""Successive halving, asynchronous: which trial goes on past a rung. Pure decisions; knows neither Ray nor Optuna.

The rules of ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), stopping or
promoting, with two additions: nobody is stopped before a quorum has reached the rung, and trials with equal
objectives are
told apart by the tie-breakers of the objective's score.
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


def _key(score: Score) -> tuple[float, ...]:
    return score.key


@dataclass
class Halving:
    """Every trial's score at every rung so far, and the rule over them.

    rungs: steps, rising; nobody is stopped at the last one.
    reduction_factor: of the trials at a rung, one in so many goes on.
    quorum: at a rung that fewer trials have reached, nobody is stopped (and nobody promoted).
    mode: "stop" decides when a trial reaches a rung, so early ones go further than they merit; "promote" pauses all
        with a checkpoint, and promotes the best as the rung fills.
    brackets: Hyperband brackets: bracket b skips the first b rungs, against judging too early. A trial's bracket
        is drawn
        by `seed` and its number, as often as Hyperband's brackets have trials.
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

    @property
    def pauses(self) -> bool:
        """Whether trials wait at rungs for their promotion."""
        return self.mode == "promote"

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
        if not math.isfinite(score.value) or any(math.isnan(value) for value in score.values):
            raise ValueError(f"trial {trial} has no score at step {step}; a trial without one has failed")
        if not self.measured(trial, step):
            self._at(trial, step).add(trial, score)

    def judge(self, trial: int, step: int) -> Judgement:
        """What becomes of `trial`, whose score at the rung `step` is recorded."""
        rung = self._at(trial, step)
        own = rung.of[trial]
        rank, of = 1 + rung.better_than(own), len(rung.of)
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
        """The trial to take up past its rung: the best that merits it, at the highest rung where one does.

        waiting: the step of the rung that each waiting trial has reached, by trial.
        more: whether more trials will come. Until then no more are taken up than one in `reduction_factor`, or of
            trials that come in the order of their merit all would be.
        preferred: trials that come first where all that merit it at the rung are about to be taken up anyway.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for trial, step in waiting.items():
            rung = self._at(trial, step)
            cutoff = self._cutoff(rung)
            if cutoff is None or (more and rung.promoted >= self._merited(rung)):
                continue
            if rung.of[trial].key >= cutoff.key:
                found.setdefault((step, self.bracket(trial)), []).append(trial)

        def merit(trial: int) -> tuple[int, tuple[float, ...], int]:
            return waiting[trial], self._at(trial, waiting[trial]).of[trial].key, -trial

        if not found:
            return None
        best = max((trial for trials in found.values() for trial in trials), key=merit)
        rung, trials = self._at(best, waiting[best]), found[waiting[best], self.bracket(best)]
        if not more or rung.promoted + len(trials) <= self._merited(rung):
            trials = [trial for trial in trials if trial in preferred] or trials
        return max(trials, key=merit)

    def promote(self, trial: int, step: int) -> None:
        """Note that `trial` was taken up past the rung `step`."""
        self._at(trial, step).promoted += 1

    def hopeless(self, waiting: Mapping[int, int], trials: int) -> list[int]:
        """Trials waiting at their first rung that can no longer be promoted: too many have done better there.

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


def _of(mode: Mode, rules: Rules) -> Halving:
    return Halving(rules.rungs, rules.reduction_factor, rules.quorum, mode, rules.brackets, rules.seed)


register("promote", functools.partial(_of, "promote"))
register("stop", functools.partial(_of, "stop"))
