"""FreeWorkers: what each worker that has no trial built last, so that it can be given one that needs just that."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from trainers.recipe import graph_key


class FreeWorkers:
    """Workers as they become free and are given trials, in that order: Ray gives a trial to who has waited longest."""

    def __init__(self) -> None:
        self._needs: dict[int, tuple[Any, ...]] = {}  # by trial, what a worker builds for it
        self._free: deque[tuple[Any, ...]] = deque()

    def know(self, trial: int, recipe: Mapping[str, Any]) -> None:
        """A trial that may run, and its recipe's plain values."""
        self._needs[trial] = graph_key(recipe)

    def give(self, trial: int, recipe: Mapping[str, Any]) -> None:
        """The trial goes to a worker: the first of the free, or a new one."""
        self.know(trial, recipe)
        if self._free:
            self._free.popleft()

    def add(self, trial: int) -> None:
        """The worker of `trial` has none now."""
        self._free.append(self._needs[trial])

    def has_graph_of(self, trial: int) -> bool:
        """Whether the worker that is to get the next trial has built what this one needs."""
        return bool(self._free) and self._needs[trial] == self._free[0]
