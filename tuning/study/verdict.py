"""Verdict: how a trial ended. Sampler, tracking, progress, summary and report all read this one noun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

State = Literal["completed", "pruned", "failed", "interrupted"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Verdict:
    """One of four ends.

    state: completed (reached its full budget), pruned (ended by the scheduler at a rung), failed (cannot go on: a NaN,
        a crash) or interrupted (the search stopped first; the trial goes on when the search does).
    reason: one line for a person.
    step: gradient steps the trial had taken.
    cutoff: for a pruned trial, the objective that it would have needed to go on.
    """

    state: State
    reason: str
    step: int
    cutoff: float | None = None

    @property
    def final(self) -> bool:
        """Whether the trial is over for good; an interrupted one is not."""
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
    """The scheduler ended the trial at a rung, for `reason`; with an objective of `cutoff` it would have gone on."""
    return Verdict("pruned", f"stopped at step {step}, {reason}", step, cutoff)


def continued(step: int, by: int, steps: int) -> Verdict:
    """An interrupted trial of fewer steps goes on as another one, with more."""
    return Verdict("pruned", f"goes on from step {step} as trial {by}, with {steps} steps", step)


def failed(reason: str, step: int) -> Verdict:
    """The trial cannot go on."""
    return Verdict("failed", reason, step)


def interrupted(step: int, why: str = "the search was stopped") -> Verdict:
    """The trial was running when its search ended."""
    return Verdict("interrupted", f"{why} at step {step}; goes on with the search", step)
