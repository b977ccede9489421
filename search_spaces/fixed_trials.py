"""Trials with given parameter values instead of a sampler: FixedTrial for replays, NearestTrial for first trials."""

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


class ChoiceNotOffered(UserError):
    """A value is not among a parameter's choices, and no choice is close to it."""


class RecordingTrial:
    """A trial that a subclass gives its values, and that records them.

    params, distributions: the value and the distribution of each suggested parameter, in order.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """The value of the parameter `name`; a subclass implements it."""
        raise NotImplementedError

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's."""
        return float(self._record(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's."""
        return int(self._record(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As Optuna's."""
        return self._record(name, CategoricalDistribution(choices))

    def _record(self, name: str, distribution: BaseDistribution) -> Any:
        value = self.value_of(name, distribution)
        self.params[name], self.distributions[name] = value, distribution
        return value


class FixedTrial(RecordingTrial):
    """A trial with exactly the values `params`. Raises UserError for a missing parameter or a value out of range."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = params

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """The given value."""
        if name not in self.given:
            raise UserError(f"parameter '{name}' is missing")
        if not contains(distribution, self.given[name]):
            raise UserError(f"{name}={self.given[name]!r} is not in {distribution}")
        return self.given[name]


class NearestTrial(RecordingTrial):
    """A trial with the values `wanted`, each moved to the nearest one in range; switches not in `wanted` are off.

    changes: one phrase per value that was moved, such as "scale_min 0.1 → 0.6".
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        super().__init__()
        self.wanted = wanted
        self.changes: list[str] = []

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        """The wanted value or the nearest one. Raises ChoiceNotOffered if there is none, UserError if it is missing."""
        is_switch = isinstance(distribution, CategoricalDistribution) and distribution.choices == (
            False,
            True,
        )
        if is_switch and name not in self.wanted:
            return False
        if name not in self.wanted:
            raise UserError(f"parameter '{name}' is missing")
        value = self.wanted[name]
        if contains(distribution, value):
            return value
        near = _nearest(distribution, value)
        self.changes.append(f"{name} {_shown(value)} → {_shown(near)}")
        return near


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether the distribution can suggest `value`."""
    if isinstance(distribution, CategoricalDistribution):
        # types are compared too, because True == 1
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
            raise ChoiceNotOffered(f"{value!r} is not one of {', '.join(map(str, distribution.choices))}")
        return min(numbers, key=lambda choice: max(choice / value, value / choice))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    near = min(max(value, distribution.low), distribution.high)
    return round(near) if isinstance(distribution, IntDistribution) else near


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
