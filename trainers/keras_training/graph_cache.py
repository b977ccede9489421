"""GraphCache: the graphs that a worker has built, so that trials of different models can alternate on it."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Traced(Protocol):
    """A graph that a background thread may be tracing."""

    def wait_for_tracing(self) -> None:
        """Wait until no thread is tracing it."""


G = TypeVar("G", bound=Traced)
# one per model; with its optimizers, averages and traces, the largest takes about 1.5 GB
MOST_GRAPHS = 3


class GraphCache(Generic[G]):
    """A least-recently-used cache of at most `most` graphs; the oldest is freed before another one is built."""

    def __init__(self, most: int = MOST_GRAPHS) -> None:
        self._most = most
        self._cache: OrderedDict[Hashable, G] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], G]) -> G:
        """The graph for `key`, built if it is not in the cache."""
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if len(self._cache) >= self._most:
            while len(self._cache) >= self._most:
                self._cache.popitem(last=False)
            gc.collect()  # Keras' layers have reference cycles
        self._cache[key] = build()
        return self._cache[key]

    def wait_for_tracing(self) -> None:
        """Wait until no graph is being traced in a background thread."""
        for graph in self._cache.values():
            graph.wait_for_tracing()
