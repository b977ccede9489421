"""Scheduler: the protocol for which trials go on past a rung, and the registry of schedulers by name."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trainers.errors import UserError
from trainers.objective import Objective, Score

if TYPE_CHECKING:  # --help lists the schedulers, and should not wait for Optuna's import
    from tuning.study.step_result import StepResult
    from tuning.study.trial_record import Decision, Rung

# This package's schedulers by name; importing the module registers them.
MODULES = {
    "promote": "tuning.search.schedulers.halving",
    "stop": "tuning.search.schedulers.halving",
    "full": "tuning.search.schedulers.full_training",
    "pbt": "tuning.search.schedulers.population",
    "pb2": "tuning.search.schedulers.population",
}
MOST_RUNGS = 4


@dataclass(frozen=True)
class Judgement:
    """A scheduler's decision on one trial at one rung.

    decision: "continue", "stop", or "pause" until promotion. At the last rung "continue" means: completed.
    rank: of the trial, from 1, among the `of` trials that have reached the rung so far.
    cutoff: the worst score that passes the rung; None if every score does.
    """

    decision: Decision
    rank: int
    of: int
    cutoff: Score | None

    def reason(self, score: Score, objective: Objective) -> str:
        """The reason in one line, for the user: rank, value, cutoff, and the metric that broke a tie."""
        line = f"ranked {self.rank} of {self.of}: {objective.name} {score.value:.3f}"
        if self.cutoff is None or score.key >= self.cutoff.key:
            return line
        line += f", cutoff {self.cutoff.value:.3f}"
        tie = objective.tie_broken_by(score, self.cutoff)
        return f"{line} (a tie, broken by {tie})" if tie else line

    def not_promoted(self, score: Score, objective: Objective) -> tuple[str, float]:
        """Why a trial that waited was not promoted, for the user, and the objective that it would have needed."""
        cutoff = score.value if self.cutoff is None else self.cutoff.value
        return f"was not promoted: {self.reason(score, objective)}", cutoff


class Scheduler(Protocol):
    """Decides which trials go on, from the scores of all trials at all rungs. Independent of Ray and Optuna.

    A trial is evaluated at each of its rungs; its score is passed to `record`, then `judge` decides. A paused trial
    waits with a checkpoint until `promotable` returns it, or the search ends it.
    """

    @property
    def rungs(self) -> Sequence[int]:
        """The rungs in gradient steps, rising; the last one is the length of a full trial."""

    @property
    def reduction_factor(self) -> int:
        """One in so many trials passes a rung."""

    @property
    def pauses(self) -> bool:
        """Whether trials wait at rungs for promotion."""

    def rungs_of(self, trial: int) -> tuple[int, ...]:
        """The rungs at which the trial is evaluated; always includes the last one."""

    def measured(self, trial: int, step: int) -> bool:
        """Whether the trial's score at the rung `step` is known."""

    def record(self, trial: int, step: int, score: Score) -> None:
        """Record a score; if it is recorded again, the first one counts. Raises ValueError for a NaN."""

    def judge(self, trial: int, step: int) -> Judgement:
        """The decision for a trial whose score at the rung `step` is recorded."""

    def promotable(
        self, waiting: Mapping[int, int], more: bool, preferred: Container[int] = frozenset()
    ) -> int | None:
        """The paused trial to promote now; None if there is none.

        waiting: the step of the rung at which each paused trial waits, by trial. more: whether more trials will come.
        preferred: trials to promote first when the order does not matter (a worker has their graph).
        """

    def promote(self, trial: int, step: int) -> None:
        """Record that `trial` was promoted past the rung `step`."""

    def hopeless(self, waiting: Mapping[int, int], trials: int | None) -> list[int]:
        """The waiting trials that will not be promoted; the search ends them.

        trials: the largest number of trials that the search can have; None for any.
        """

    def foremost(self, waiting: Mapping[int, int]) -> int:
        """The best of the waiting trials at the highest rung."""


@dataclass(frozen=True)
class Rules:
    """What a scheduler is made from.

    rungs: steps, rising. reduction_factor, quorum, brackets, seed: see tuning.search.schedulers.halving.Halving.
    """

    rungs: Sequence[int]
    reduction_factor: int = 3
    quorum: int = 3
    brackets: int = 1
    seed: int = 0


_registered: dict[str, Callable[[Rules], Scheduler]] = {}
_rungs: dict[str, Callable[[int, int, int], Sequence[int]]] = {}


def register(
    name: str,
    make: Callable[[Rules], Scheduler],
    rungs: Callable[[int, int, int], Sequence[int]] | None = None,
) -> None:
    """Register a scheduler under the name that `--scheduler` takes. Raises UserError if another has that name.

    rungs: where its rungs are, called as `rung_steps`, which is the default.
    """
    if name in MODULES:
        importlib.import_module(MODULES[name])  # which registers its own first
    if _registered.setdefault(name, make) is not make:
        raise UserError(f"two schedulers are called '{name}'; rename one of them")
    if rungs is not None:
        _rungs[name] = rungs


def names() -> tuple[str, ...]:
    """The names that `--scheduler` takes."""
    return tuple(dict.fromkeys((*MODULES, *_registered)))


def make(name: str, rules: Rules) -> Scheduler:
    """Make the scheduler `name`. Raises UserError, listing the known names, when there is none."""
    _import(name)
    return _registered[name](rules)


def rungs_for(name: str, max_steps: int, reduction_factor: int, first_rung: int) -> tuple[int, ...]:
    """The rungs of the scheduler `name`, rising; arguments and errors as for `rung_steps`, and as for `make`."""
    _import(name)
    return tuple(_rungs.get(name, rung_steps)(max_steps, reduction_factor, first_rung))


def _import(name: str) -> None:
    if name not in names():
        raise UserError(f"unknown scheduler '{name}'; known are {', '.join(names())}")
    if name not in _registered:
        importlib.import_module(MODULES[name])


def of_search(
    name: str,
    max_steps: int,
    first_rung: int,
    trials: int | None,
    reduction_factor: int = 3,
    brackets: int = 1,
    seed: int = 0,
) -> Scheduler:
    """The scheduler `name` of a search of so many trials; None for any number. Raises UserError as what it calls."""
    rungs = rungs_for(name, max_steps, reduction_factor, first_rung)
    quorum = quorum_of(trials, reduction_factor)
    return make(name, Rules(rungs, reduction_factor, quorum, brackets, seed))


def quorum_of(trials: int | None, reduction_factor: int) -> int:
    """How many trials must reach a rung before any is stopped or promoted there, in a search of so many trials.

    trials: None for any number. Fewer trials need a smaller quorum: otherwise half of them would be trained to the end.
    """
    return reduction_factor if trials is None else max(2, min(reduction_factor, trials // 3))


def rung_steps(max_steps: int, reduction_factor: int = 3, first_rung: int = 30) -> tuple[int, ...]:
    """The rungs, rising: `max_steps`, max_steps / reduction_factor, and so on down to about `first_rung`.

    At least two (if max_steps allows) and at most MOST_RUNGS. first_rung: trainers.model.Model.first_rung.
    Raises UserError when `max_steps` is below 1.
    """
    if max_steps < 1:
        raise UserError(f"--max-steps must be at least 1, not {max_steps}")
    count = 1 + int(math.log(max(1.0, max_steps / first_rung), reduction_factor) + 1e-9)
    count = min(max(count, 2), MOST_RUNGS)
    return tuple(sorted({math.ceil(max_steps / reduction_factor**power) for power in range(count)}))


def make_rung(result: StepResult, score: Score, judgement: Judgement, objective: Objective) -> Rung:
    """The Rung to store, from a worker's result and the scheduler's judgement; without metrics that are not finite."""
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
