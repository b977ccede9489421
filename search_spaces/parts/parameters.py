"""The pieces that a space is written in: ranges, choices and switches, asked of whatever can suggest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainers.errors import UserError


class Trial(Protocol):
    """What a space needs of a trial: `optuna.Trial`, `optuna.trial.FixedTrial`, `answers.Answers` have it."""

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
    """Numbers from `low` to `high`, both included; `log`: every factor of ten is as likely as the next."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> float:
        """The trial's number for parameter `name`. Raises UserError when the range is impossible."""
        _check(self, name)
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.log)


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> int:
        """The trial's whole number for parameter `name`. Raises UserError when the range is impossible."""
        _check(self, name)
        return trial.suggest_int(name, self.low, self.high, log=self.log)


def _check(span: Range | Whole, name: str) -> None:
    finite = math.isfinite(span.low) and math.isfinite(span.high)
    if not finite or span.low > span.high or (span.log and span.low <= 0):
        rule = "finite, low <= high" + (" and above 0 (it is logarithmic)" if span.log else "")
        raise UserError(f"{name}: impossible range {span.low:g} to {span.high:g}; it must be {rule}")


def choose(trial: Trial, name: str, choices: Sequence[Any]) -> Any:
    """The trial's choice for parameter `name`. Only choices and switches may decide what is asked next."""
    if not choices:
        raise UserError(f"{name}: there is nothing to choose from")
    return trial.suggest_categorical(name, list(choices))


def switch(trial: Trial, name: str) -> bool:
    """Whether the trial has what `name` says; off comes first, so that off is the rule of a bare trial."""
    return bool(trial.suggest_categorical(name, [False, True]))


def significant(value: float, digits: int = 6) -> float:
    """`value` to so many digits, so that what is computed of suggestions equals what a person wrote."""
    return float(f"{value:.{digits}g}")
