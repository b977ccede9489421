"""Asynchronous successive halving (ASHA): decides which trials go on past a rung. Independent of Ray and Optuna.

The rules are ASHA's (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), in its stopping
and its promotion variant, with four additions. No trial is stopped or promoted before a quorum has reached the rung.
While more trials come, no more than one in `reduction_factor` is promoted, though each rung may be EARLY ones ahead.
Ties of the objective are broken by the objective's tie-breakers. In a search over several models, each model has its
share of the first rung, since models learn at different speeds; later all are ranked together (trainers.score_order).
With several objectives, the trials on the Pareto front of a rung come first, then those of the next front.
"""

from __future__ import annotations

import bisect
import functools
import math
import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainers import score_order
from trainers.errors import UserError
from trainers.objective import Score
from trainers.score_order import Key
from tuning.search.scheduler import Judgement, Rules, register
from tuning.study import pareto

Mode = Literal["promote", "stop"]
# promotions that a rung may make before it has so many trials, so that a search of five full trainings completes more
# than one; with three, or without a limit, it found less after twenty (tests/benchmarks/taskset)
EARLY = 2
MOST_WAITING = 8  # at one rung, besides those to promote now: each keeps a checkpoint on disk


@dataclass
class _RungScores:
    """The scores of one bracket at one rung.

    shared: whether each model has its share of the rung. promoted: number of its trials that were promoted past it.
    """

    shared: bool
    by_trial: dict[int, Score] = field(default_factory=dict)
    promoted: int = 0
    _ordered: dict[str, list[Score]] = field(default_factory=dict)  # of each loss, from worst to best
    _order: list[int] = field(default_factory=list)  # trials, best first, if they are of several losses
    _places: dict[int, int] = field(default_factory=dict)

    def add(self, trial: int, score: Score) -> None:
        self.by_trial[trial] = score
        bisect.insort(self._ordered.setdefault(score.loss, []), score, key=_key)
        self._order = []

    def better_of_its_loss(self, trial: int) -> int:
        """The number of trials with the same loss that are better."""
        score = self.by_trial[trial]
        ordered = self._ordered[score.loss]
        return len(ordered) - bisect.bisect_right(ordered, score.key, key=_key)

    @property
    def several_objectives(self) -> bool:
        """Whether the scores have further objectives."""
        return any(score.also for score in self.by_trial.values())

    @property
    def _by_key(self) -> bool:
        """Whether the order is that of the scores' keys: they have one loss and one objective."""
        return len(self._ordered) == 1 and not self.several_objectives

    def ahead_of(self, trial: int) -> int:
        """The number of trials that are ahead of it."""
        if self._by_key:
            return self.better_of_its_loss(trial)
        self._sort()
        return self._places[trial]

    def at(self, place: int) -> Score:
        """The score at a place of the order; 0 is the best."""
        if not self._by_key:
            self._sort()
            return self.by_trial[self._order[place]]
        (ordered,) = self._ordered.values()
        return ordered[-1 - place]

    def _sort(self) -> None:
        if self._order:
            return
        trials = sorted(self.by_trial)
        between = dict(zip(trials, score_order.keys([self.by_trial[t] for t in trials]), strict=True))
        of_model: dict[str, list[Key]] = {}
        for trial in trials:
            of_model.setdefault(self.by_trial[trial].model, []).append(between[trial])
        for keys in of_model.values():
            keys.sort()
        level = dict(zip(trials, pareto.levels([self.by_trial[t] for t in trials]), strict=True))

        def key(trial: int) -> tuple[int, float, Key]:
            model = self.by_trial[trial].model
            share = score_order.standing(between[trial], of_model[model]) if self.shared else 0.0
            return -level[trial], share, between[trial]

        self._order = sorted(trials, key=key, reverse=True)
        self._places = {trial: place for place, trial in enumerate(self._order)}


def _key(score: Score) -> Key:
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
        rank, of = 1 + rung.ahead_of(trial), len(rung.by_trial)
        if step >= self.rungs[-1]:
            return Judgement("continue", rank, of, None)
        decided = of >= self.quorum
        cutoff = rung.at(self._quota(rung) - 1) if decided else None
        if self.mode == "promote":
            return Judgement("pause", rank, of, cutoff)
        stops = decided and rank > self._quota(rung)
        return Judgement("stop" if stops else "continue", rank, of, cutoff)

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The trial to promote now: the best promotable one at the highest rung that has any. None if there is none.

        waiting: the step of the rung at which each paused trial waits, by trial.
        more: whether more trials will come. While they do, at most one in `reduction_factor` is promoted, or EARLY;
            otherwise trials that arrive in rising order of score would all be promoted.
        preferred: trials to promote first when the order does not matter, since all promotable ones at the rung will be.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for trial, step in waiting.items():
            rung = self._scores_at(trial, step)
            if len(rung.by_trial) < self.quorum or (more and rung.promoted >= self._limit(rung)):
                continue
            if rung.ahead_of(trial) < self._quota(rung):
                found.setdefault((step, self.bracket(trial)), []).append(trial)
        if not found:
            return None
        position = functools.partial(self._position, waiting)
        best = max((trial for trials in found.values() for trial in trials), key=position)
        rung, trials = self._scores_at(best, waiting[best]), found[waiting[best], self.bracket(best)]
        if not more or rung.promoted + len(trials) <= self._limit(rung):
            trials = [trial for trial in trials if trial in preferred] or trials
        return max(trials, key=position)

    def promote(self, trial: int, step: int) -> None:
        """Record that `trial` was promoted past the rung `step`."""
        self._scores_at(trial, step).promoted += 1

    def hopeless(self, waiting: Mapping[int, int], trials: int | None) -> list[int]:
        """The waiting trials that will not be promoted.

        Those are, at a first rung, the trials of which too many are better for a search of so many trials; and at every
        rung all but the next to be promoted, now and as the rung fills (MOST_WAITING).
        trials: the largest number of trials that the search can have; None for any.
        """
        found: set[int] = set()
        if trials is not None:
            most = max(1, trials // self.reduction_factor)
            for trial, step in waiting.items():
                rung = self._scores_at(trial, step)
                if step > self.rungs_of(trial)[0] or rung.several_objectives:
                    continue  # of several objectives, the trials that are ahead may be behind later
                if rung.better_of_its_loss(trial) >= most:
                    found.add(trial)
        there: dict[tuple[int, int], list[int]] = {}
        for trial, step in waiting.items():
            there.setdefault((self.bracket(trial), step), []).append(trial)
        for trials_there in there.values():
            rung = self._scores_at(trials_there[0], waiting[trials_there[0]])
            kept = MOST_WAITING + max(self.quorum, self._limit(rung) - rung.promoted)
            trials_there.sort(key=functools.partial(self._position, waiting), reverse=True)
            found |= set(trials_there[kept:])
        return sorted(found)

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """The best of the waiting trials at the highest rung."""
        return max(waiting, key=functools.partial(self._position, waiting))

    def _position(self, waiting: Mapping[int, int], trial: int) -> tuple[int, int, Key, int]:
        """A sort key of waiting trials: the next to promote is the largest."""
        rung = self._scores_at(trial, waiting[trial])
        return waiting[trial], -rung.ahead_of(trial), rung.by_trial[trial].key, -trial

    def _scores_at(self, trial: int, step: int) -> _RungScores:
        first = step == self.rungs_of(trial)[0]
        return self._rungs.setdefault((self.bracket(trial), step), _RungScores(shared=first))

    def _quota(self, rung: _RungScores) -> int:
        """How many of the rung's trials may pass it."""
        return max(1, len(rung.by_trial) // self.reduction_factor)

    def _limit(self, rung: _RungScores) -> int:
        """How many may be promoted past the rung so far, while more trials come."""
        return max(EARLY, self._quota(rung))


def _make(mode: Mode, rules: Rules) -> Halving:
    return Halving(rules.rungs, rules.reduction_factor, rules.quorum, mode, rules.brackets, rules.seed)


register("promote", functools.partial(_make, "promote"))
register("stop", functools.partial(_make, "stop"))
