"""Scheduler: which trials go on past a rung. The protocol, and the register of all schedulers by name."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trainers.errors import UserError
from trainers.objective import Objective, Score

if TYPE_CHECKING:  # --help names the schedulers, and does without Optuna
    from tuning.study.step_result import StepResult
    from tuning.study.trial_record import Decision, Rung

# The schedulers of this package: importing the module registers it.
MODULES = {
    "promote": "tuning.search.halving",
    "stop": "tuning.search.halving",
    "full": "tuning.search.full_training",
}
# before so many steps no model shows what it will become; but there are always two rungs, and at most four
FIRST_RUNG, MOST_RUNGS = 30, 4


@dataclass(frozen=True)
class Judgement:
    """What a scheduler says of one trial at one rung.

    decision: "continue", "stop", or "pause" until its promotion; at the last rung it continues, that is, it is done.
    rank: its place among `of` trials that have reached the rung, from 1, at the time of asking.
    cutoff: the worst score that goes on; None where all do.
    """

    decision: Decision
    rank: int
    of: int
    cutoff: Score | None

    def reason(self, score: Score, objective: Objective) -> str:
        """One line for a person: the place that `score` took, and by what a tie was broken."""
        line = f"ranked {self.rank} of {self.of}: {objective.name} {score.value:.3f}"
        if self.cutoff is None or score.key >= self.cutoff.key:
            return line
        line += f", cutoff {self.cutoff.value:.3f}"
        tie = objective.tie_broken_by(score, self.cutoff)
        return f"{line} (a tie, broken by {tie})" if tie else line


class Scheduler(Protocol):
    """Decides over the scores of all trials at all rungs. Pure decisions, on plain values: knows no Ray and no Optuna.

    A trial is measured at each of its rungs. What was measured is noted by `record`, once for each trial and rung, and
    then judged. A paused trial waits with a checkpoint until `promotable` names it, or the search ends it.
    """

    @property
    def rungs(self) -> Sequence[int]:
        """Steps, rising; the last one is a full trial's."""

    @property
    def reduction_factor(self) -> int:
        """Of the trials at a rung, one in so many goes on."""

    @property
    def pauses(self) -> bool:
        """Whether trials wait at rungs for their promotion."""

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """The rungs at which the trial is measured: the last one always."""

    def measured(self, trial: int, step: int) -> bool:
        """Whether the trial's score at the rung `step` is known."""

    def record(self, trial: int, step: int, score: Score) -> None:
        """Note what `trial` measured at the rung `step`. Of two scores the first counts. ValueError for a NaN."""

    def judge(self, trial: int, step: int) -> Judgement:
        """What becomes of `trial`, whose score at the rung `step` is recorded."""

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The paused trial to let go on now; None while there is none.

        waiting: the step of the rung at which each paused trial waits, by trial. more: whether more trials will come.
        preferred: trials to choose first among equals.
        """

    def promote(self, trial: int, step: int) -> None:
        """Note that `trial` was let past the rung `step`."""

    def hopeless(self, waiting: Mapping[int, int], trials: int) -> list[int]:
        """The waiting trials that can no longer be promoted in a search of at most so many trials."""

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """Of the waiting trials the best at the highest rung."""


@dataclass(frozen=True)
class Rules:
    """What a scheduler is made of.

    rungs: steps, rising. reduction_factor, quorum, brackets, seed: as tuning.search.halving.Halving has them.
    """

    rungs: Sequence[int]
    reduction_factor: int = 3
    quorum: int = 3
    brackets: int = 1
    seed: int = 0


_registered: dict[str, Callable[[Rules], Scheduler]] = {}


def register(name: str, make: Callable[[Rules], Scheduler]) -> None:
    """Make a scheduler known to `--scheduler` by its name."""
    _registered[name] = make


def names() -> tuple[str, ...]:
    """What `--scheduler` takes."""
    return tuple(dict.fromkeys((*MODULES, *_registered)))


def make(name: str, rules: Rules) -> Scheduler:
    """The scheduler called `name`. Raises UserError, with the known names, when there is none."""
    if name not in names():
        raise UserError(f"unknown scheduler '{name}'; known are {', '.join(names())}")
    if name not in _registered:
        importlib.import_module(MODULES[name])
    return _registered[name](rules)


def rung_steps(max_steps: int, reduction_factor: int = 3) -> tuple[int, ...]:
    """The steps at which trials are compared, rising: `max_steps`, and each before it a `reduction_factor`th.

    Raises UserError when `max_steps` cannot hold one rung.
    """
    if max_steps < 1:
        raise UserError(f"--max-steps must be at least 1, not {max_steps}")
    count = 1 + int(math.log(max(1.0, max_steps / FIRST_RUNG), reduction_factor) + 1e-9)
    count = min(max(count, 2), MOST_RUNGS)
    return tuple(sorted({math.ceil(max_steps / reduction_factor**power) for power in range(count)}))


def reached(result: StepResult, score: Score, judgement: Judgement, objective: Objective) -> Rung:
    """The rung that a worker's result and the scheduler's judgement make."""
    from tuning.study.trial_record import Rung

    return Rung(
        step=result.step,
        value=score.value,
        seconds=result.seconds_training + result.seconds_overhead,
        seconds_training=result.seconds_training,
        time=time.time(),
        metrics={name: value for name, value in result.metrics.items() if math.isfinite(value)},
        decision=judgement.decision,
        reason=judgement.reason(score, objective),
        rank=judgement.rank,
        of=judgement.of,
        cutoff=judgement.cutoff.value if judgement.cutoff else None,
        score=score,
    )
