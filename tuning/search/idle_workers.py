"""IdleWorkers: the graph that each idle worker has built, so that its next trial can reuse it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from trainers.recipe import graph_key


class IdleWorkers:
    """A queue of idle workers: Ray gives the next trial to the worker that has been idle for longest."""

    def __init__(self) -> None:
        self._graph_keys: dict[int, tuple[Any, ...]] = {}  # by trial
        self._idle: deque[tuple[Any, ...]] = deque()

    def add_trial(self, trial: int, recipe: Mapping[str, Any]) -> None:
        """Note the recipe (plain values) of a trial that may run."""
        self._graph_keys[trial] = graph_key(recipe)

    def assign(self, trial: int, recipe: Mapping[str, Any]) -> None:
        """Give a trial to the first idle worker, or to a new one if none is idle."""
        self.add_trial(trial, recipe)
        if self._idle:
            self._idle.popleft()

    def release(self, trial: int) -> None:
        """Mark the trial's worker idle."""
        self._idle.append(self._graph_keys[trial])

    def has_graph_of(self, trial: int) -> bool:
        """Whether the worker that gets the next trial has already built the graph of this one."""
        return bool(self._idle) and self._graph_keys[trial] == self._idle[0]
