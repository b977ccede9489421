"""Trials that answer from a list, not a sampler: exactly (replay), or as near as the space allows (seeds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainers.errors import UserError


class NotOffered(UserError):
    """A space does not offer a choice that was wanted, and no other is near it."""


class Answers:
    """A trial whose suggestions come from `answer`; it keeps what was asked and what was said, in order."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        """The value of `name`; a subclass says."""
        raise NotImplementedError

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's."""
        return float(self._note(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's."""
        return int(self._note(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As Optuna's."""
        return self._note(name, CategoricalDistribution(choices))

    def _note(self, name: str, distribution: BaseDistribution) -> Any:
        value = self.answer(name, distribution)
        self.params[name], self.distributions[name] = value, distribution
        return value


class Exactly(Answers):
    """Says what `params` say. Raises UserError for a parameter that they lack or have out of its range."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = params

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        """The given value."""
        if name not in self.given:
            raise UserError(f"parameter '{name}' has no value")
        if not contains(distribution, self.given[name]):
            raise UserError(f"{name}={self.given[name]!r} is outside {distribution}")
        return self.given[name]


class Nearest(Answers):
    """Says what `wanted` says, moved to the nearest value in range; switches that are not wanted stay off.

    moved: one sentence for each value that had to move.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        super().__init__()
        self.wanted = wanted
        self.moved: list[str] = []

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
        """The wanted value or the nearest. Raises NotOffered if none is near, UserError if none is wanted."""
        is_switch = isinstance(distribution, CategoricalDistribution) and distribution.choices == (
            False,
            True,
        )
        if is_switch and name not in self.wanted:
            return False
        if name not in self.wanted:
            raise UserError(f"parameter '{name}' has no value")
        value = self.wanted[name]
        if contains(distribution, value):
            return value
        near = _nearest(distribution, value)
        self.moved.append(f"{name} {_shown(value)} → {_shown(near)}")
        return near


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether `value` is one that the distribution can suggest."""
    if isinstance(distribution, CategoricalDistribution):
        # True == 1 in Python: a choice must be of the same type too
        return any(type(choice) is type(value) and choice == value for choice in distribution.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    whole = isinstance(distribution, FloatDistribution) or value == int(value)
    return whole and distribution.low <= value <= distribution.high


def _nearest(distribution: BaseDistribution, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        numbers = [c for c in distribution.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        if not numbers or isinstance(value, bool) or not isinstance(value, int | float):
            raise NotOffered(f"{value!r} is none of the choices {', '.join(map(str, distribution.choices))}")
        return min(numbers, key=lambda choice: max(choice / value, value / choice))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    near = min(max(value, distribution.low), distribution.high)
    return round(near) if isinstance(distribution, IntDistribution) else near


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
