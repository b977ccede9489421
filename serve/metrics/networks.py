"""Adds what the batchers of a replica's networks count to the counters of the deployment."""

from __future__ import annotations

from collections import Counter
from weakref import WeakKeyDictionary

from serve.backends.batching import Batcher
from serve.metrics.counters import Counters
from serve.metrics.histogram import Histogram


class NetworkCounts:
    """One replica's. `record` is called by one thread, about once a second."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        # by batcher, because a model that is loaded again counts from 0 again
        self._counts: WeakKeyDictionary[Batcher, Counter[str | tuple[str, int]]] = WeakKeyDictionary()
        self._seen: WeakKeyDictionary[Batcher, dict[str, Histogram]] = WeakKeyDictionary()

    def record(self, export_id: str, batcher: Batcher) -> None:
        """Add what the batcher of this model has counted since the last call."""
        before = self._counts.get(batcher, Counter())
        self._counts[batcher] = now = batcher.counts.copy()
        for name, increase in (now - before).items():
            if isinstance(name, tuple):
                self._counters.add(name[0], increase, size=str(name[1]))
            else:
                self._counters.add(name, increase, model=export_id)
        seen = self._seen.setdefault(batcher, {})
        for histogram, latest, labels in (
            ("stage_seconds", batcher.network.since(None), {"stage": "network"}),
            ("image_queue_seconds", batcher.queue.since(None), {}),
        ):
            self._counters.add_histogram(histogram, latest.since(seen.get(histogram)), **labels)
            seen[histogram] = latest
