"""Enumerates the parameters of a define-by-run space by running its own code, so what is printed is what is suggested.

A walk is one run of `suggest` with some choices forced and the first choice taken elsewhere. If a walk finds a new
parameter, it is repeated with each other choice in turn. This finds parameters behind two independent choices (a
detector's learning rate under one optimizer), and what each parameter depends on. Only choices and switches, never
numbers, may decide which parameters follow; and a parameter must have the same range in all branches, or TPE cannot
model it.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.fixed_trials import RecordingTrial
from search_spaces.parts.parameters import Trial
from search_spaces.rows import Row
from trainers.errors import UserError

_ABSENT = object()


class _Walk(RecordingTrial):
    """Takes forced choices, else the first one; number i takes its high end if `at_high(i)`, else its low end."""

    def __init__(self, forced: Mapping[str, Any], at_high: Callable[[int], bool] = lambda _: False) -> None:
        super().__init__()
        self.forced, self.at_high = forced, at_high
        self.numbers = 0

    def value_of(self, name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return self.forced.get(name, distribution.choices[0])
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        self.numbers += 1
        return distribution.high if self.at_high(self.numbers - 1) else distribution.low

    @property
    def choices(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.params.items()
            if isinstance(self.distributions[name], CategoricalDistribution)
        }


@dataclass(frozen=True)
class _Seen:
    choices: dict[str, Any]
    names: frozenset[str]


def walk(suggest: Callable[[Trial], object], where: str) -> tuple[Row, ...]:
    """The rows of a space, in the order in which `suggest` suggests them.

    `suggest` also runs with every pair of numbers at all four combinations of their ends, so that invalid recipes raise
    UserError here and not in the middle of a search. Raises UserError, starting with `where`, if a parameter has
    different ranges in different branches.
    """
    distributions: dict[str, BaseDistribution] = {}
    order: list[str] = []
    seen: list[_Seen] = []
    queue: deque[dict[str, Any]] = deque([{}])
    queued = {frozenset[tuple[str, Any]]()}
    while queue:
        forced = queue.popleft()
        trial = _Walk(forced)
        suggest(trial)
        for corner in _corners(trial.numbers):
            suggest(_Walk(forced, corner))
        revealed = [name for name in trial.params if name not in distributions]
        _note(trial, distributions, order, where)
        seen.append(_Seen(trial.choices, frozenset(trial.params)))
        if not revealed:
            continue
        for name, taken in trial.choices.items():
            distribution = trial.distributions[name]
            assert isinstance(distribution, CategoricalDistribution)
            for choice in distribution.choices:
                more = forced | {name: choice}
                if name not in forced and choice != taken and frozenset(more.items()) not in queued:
                    queued.add(frozenset(more.items()))
                    queue.append(more)
    distributions = {name: distributions[name] for name in order}
    found = {name: _conditions(name, seen, distributions) for name in order}
    return tuple(Row(name, distributions[name], _nearest(found[name], found)) for name in order)


def _corners(numbers: int) -> list[Callable[[int], bool]]:
    """Functions `at_high` for _Walk that together put any two numbers at all four combinations of their ends."""
    bits = range(max(numbers - 1, 0).bit_length())
    return [lambda _: True, *(functools.partial(_has_bit, bit, one) for bit in bits for one in (0, 1))]


def _has_bit(bit: int, one: int, number: int) -> bool:
    return number >> bit & 1 == one


def _note(trial: _Walk, distributions: dict[str, BaseDistribution], order: list[str], where: str) -> None:
    following = None
    for name, distribution in reversed(trial.distributions.items()):
        known = distributions.setdefault(name, distribution)
        if known != distribution:
            raise UserError(
                f"{where}: parameter '{name}' is {known} in one branch and {distribution} in another; "
                "give them different names"
            )
        if name not in order:
            order.insert(len(order) if following is None else order.index(following), name)
        following = name


_Conditions = dict[str, tuple[Any, ...]]


def _conditions(name: str, seen: list[_Seen], distributions: Mapping[str, BaseDistribution]) -> _Conditions:
    """The choices common to all walks that had parameter `name`, where other choices were possible."""
    found: _Conditions = {}
    with_it = [walked for walked in seen if name in walked.names]
    for other, distribution in distributions.items():
        if other == name or not isinstance(distribution, CategoricalDistribution):
            continue
        values = [walked.choices.get(other, _ABSENT) for walked in with_it]
        allowed = tuple(choice for choice in distribution.choices if choice in values)
        if _ABSENT not in values and len(allowed) < len(distribution.choices):
            found[other] = allowed
    return found


def _nearest(
    conditions: _Conditions, found: Mapping[str, _Conditions]
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """The conditions that are not implied by another condition's own conditions."""
    implied = {
        name
        for other in conditions
        for name, values in found[other].items()
        if name != other and conditions.get(name) == values
    }
    return tuple((name, values) for name, values in conditions.items() if name not in implied)
