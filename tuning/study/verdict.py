"""Verdict: how a trial ended. Sampler, tracking, progress, summary and report all use this type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tuning.study.fork import Fork

State = Literal["completed", "pruned", "failed", "interrupted"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Verdict:
    """How a trial ended.

    state: completed (took all its steps), pruned (stopped by the scheduler at a rung), failed (cannot continue: NaN, a
        crash) or interrupted (the search ended first; the trial resumes with the search).
    reason: one line for the user.
    step: gradient steps that the trial had taken.
    cutoff: of a pruned trial, the objective that it would have needed to go on.
    """

    state: State
    reason: str
    step: int
    cutoff: float | None = None

    @property
    def final(self) -> bool:
        """Whether the trial has ended for good; False for an interrupted one."""
        return self.state != "interrupted"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Verdict:
        """The verdict that `to_dict` wrote."""
        return cls(**fields)


def completed(step: int) -> Verdict:
    """The trial took all its steps."""
    return Verdict("completed", f"took all {step} steps", step)


def pruned(step: int, reason: str, cutoff: float) -> Verdict:
    """The scheduler stopped the trial at a rung, for `reason`; with an objective of `cutoff` it would have gone on."""
    return Verdict("pruned", f"stopped at step {step}, {reason}", step, cutoff)


def continued(step: int, by: int, steps: int) -> Verdict:
    """An interrupted trial is continued by trial `by`, which has more steps."""
    return Verdict("pruned", f"continued from step {step} by trial {by}, with {steps} steps", step)


def replaced(fork: Fork, by: int) -> Verdict:
    """A trial ends in whose place trial `by` goes on, from the weights of a better one."""
    return Verdict(
        "pruned", f"replaced at step {fork.step} by trial {by}, from trial {fork.of}'s weights", fork.step
    )


def failed(reason: str, step: int) -> Verdict:
    """The trial cannot continue."""
    return Verdict("failed", reason, step)


def interrupted(step: int, why: str = "the search was stopped") -> Verdict:
    """The trial was running when its search ended."""
    return Verdict("interrupted", f"{why} at step {step}; resumes with the search", step)
