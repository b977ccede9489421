"""KeptGraphs: what a worker has built, a few graphs at once, so that trials of several kinds may alternate on it."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.object_detection_api.graph import Graph

# one of each detector. With its optimizers, averages and traces, the largest takes some 1.5 GB
MOST_GRAPHS = 3


class KeptGraphs:
    """Graphs by key. Beyond `most`, the one that was asked for longest ago is let go before another is built."""

    def __init__(self, most: int = MOST_GRAPHS) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Graph] = OrderedDict()

    def of(self, key: Hashable, build: Callable[[], Graph]) -> Graph:
        """The graph of `key`, built unless it is kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if len(self._kept) >= self._most:
            while len(self._kept) >= self._most:
                self._kept.popitem(last=False)
            gc.collect()  # Keras' layers refer to each other in circles
        self._kept[key] = build()
        return self._kept[key]

    def settle(self) -> None:
        """Return when none of them traces anything in a thread."""
        for graph in self._kept.values():
            graph.settle()
