"""Histogram: observations counted in buckets, as Prometheus keeps them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """For one writing thread; others may read.

    bounds: upper bounds of the buckets, ascending, inclusive. counts: observations in each bucket, not cumulative; the
    last one is for those above all bounds. sum: of all observations.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def since(self, earlier: Histogram | None) -> Histogram:
        """A copy, without what `earlier`, a former copy, had counted."""
        result = Histogram(self.bounds)
        before = earlier.counts if earlier else result.counts
        result.counts = [now - then for now, then in zip(self.counts, before, strict=True)]
        result.sum = self.sum - (earlier.sum if earlier else 0.0)
        return result
