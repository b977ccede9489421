"""The parameter types of spaces: ranges, choices and switches, which any object with Optuna's suggest methods fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainers.errors import UserError


class Trial(Protocol):
    """The methods of an Optuna trial that spaces use; also implemented by `fixed_trials.RecordingTrial`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number in [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


@dataclass(frozen=True)
class Range:
    """Floats in [low, high]; `log`: sampled uniformly in the logarithm."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> float:
        """Let the trial suggest parameter `name`. Raises UserError if the range is invalid."""
        _check(self, name)
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.log)


@dataclass(frozen=True)
class IntRange:
    """Integers in [low, high]; `log`: sampled uniformly in the logarithm."""

    low: int
    high: int
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> int:
        """Let the trial suggest parameter `name`. Raises UserError if the range is invalid."""
        _check(self, name)
        return trial.suggest_int(name, self.low, self.high, log=self.log)


def _check(span: Range | IntRange, name: str) -> None:
    finite = math.isfinite(span.low) and math.isfinite(span.high)
    if not finite or span.low > span.high or (span.log and span.low <= 0):
        rule = "finite, with low <= high" + (" and low > 0 (log scale)" if span.log else "")
        raise UserError(f"{name}: invalid range {span.low:g} to {span.high:g}; it must be {rule}")


def choose(trial: Trial, name: str, choices: Sequence[Any]) -> Any:
    """Let the trial choose parameter `name`. Only choices and switches may decide which parameters follow.

    Raises UserError if there are no choices.
    """
    if not choices:
        raise UserError(f"{name}: the list of choices is empty")
    return trial.suggest_categorical(name, list(choices))


def switch(trial: Trial, name: str) -> bool:
    """Let the trial switch `name` on or off. False is the first choice, so it is the default in walks."""
    return bool(trial.suggest_categorical(name, [False, True]))


def significant(value: float, digits: int = 6) -> float:
    """`value` rounded to significant digits, so that computed values equal those that people write."""
    return float(f"{value:.{digits}g}")
