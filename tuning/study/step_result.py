"""StepResult: a worker's message to the driver after each chunk of a trial's training. Plain values only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class StepResult:
    """One message.

    trial: its number in the study; step: gradient steps it has taken.
    kind: "progress" (between rungs), "rung" (evaluated and saved), "failed" (this trial cannot continue) or "halt" (no
        trial can: the user's input is wrong, or the disk is full).
    images_per_second: of the chunk; 0 when nothing was trained.
    steps, curves: the chunk's steps (from 1), and for each of them `training_loss/<part>` and `learning_rate`, by name.
    metrics: at a rung, trainers.metrics.Metrics.flat().
    seconds_training: of the trial's gradient steps so far; seconds_overhead: of everything else (start, input,
        evaluation, checkpoints). Together the worker's wall time, in this and earlier runs of the search.
    seconds_evaluation: of this message's evaluation (part of the overhead).
    sent, received: bytes that the worker moved to the object store of the study and from it, since its last message.
    note: what the user must know of the trial, in one line, such as a lost checkpoint; mostly "".
    reason: of "failed" and "halt", in one line; traceback: for --debug, or "".
    """

    trial: int
    step: int
    kind: Literal["progress", "rung", "failed", "halt"]
    images_per_second: float = 0.0
    steps: Sequence[int] = ()
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds_training: float = 0.0
    seconds_overhead: float = 0.0
    seconds_evaluation: float = 0.0
    sent: int = 0
    received: int = 0
    note: str = ""
    reason: str = ""
    traceback: str = ""

    def not_finite(self, names: Iterable[str]) -> str | None:
        """The first of these metrics that is NaN or infinite, in a line for the user; None if all are finite."""
        found = (name for name in names if not math.isfinite(self.metrics.get(name, 0.0)))
        name = next(found, None)
        return None if name is None else f"{name} is {self.metrics[name]} at step {self.step}"
