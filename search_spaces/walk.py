"""Walks every branch of a define-by-run space, and so finds its rows: what is printed is what is suggested.

A walk is one run of the space's own code with some choices forced and the first choice taken elsewhere.
Whatever walk reveals a parameter is walked again with each other choice in turn, so that a parameter behind
two independent choices (a detector's rate for one optimizer) is found, and what it depends on shows. A space
must branch on choices and switches only, never on a number; and a parameter must have one range wherever it
is asked, or TPE cannot learn of it.
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

from search_spaces.answers import Answers
from search_spaces.parts.parameters import Trial
from search_spaces.rows import Row
from trainers.errors import UserError

_ABSENT = object()


class _Walk(Answers):
    """Takes the forced choices, else the first; of the numbers, in turn, those at their highest that it says."""

    def __init__(self, forced: Mapping[str, Any], at_high: Callable[[int], bool] = lambda _: False) -> None:
        super().__init__()
        self.forced, self.at_high = forced, at_high
        self.numbers = 0

    def answer(self, name: str, distribution: BaseDistribution) -> Any:
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
    """The rows of the space that `suggest` is, in the order in which it asks.

    `suggest` also runs with every two numbers at their four pairs of ends, so that impossible values raise its
    UserError here and not in the middle of a search. Raises UserError, of `where`, when a parameter's range is
    not the same everywhere.
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
    """Which of so many numbers to put at their highest, so that any two meet at all four pairs of ends."""
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
    """The choices that every walk with `name` had made, where other choices were possible."""
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
    """Without the conditions that another condition's parameter has anyway."""
    implied = {
        name
        for other in conditions
        for name, values in found[other].items()
        if name != other and conditions.get(name) == values
    }
    return tuple((name, values) for name, values in conditions.items() if name not in implied)
