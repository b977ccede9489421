"""Rates: how many requests a token may make a minute, so that one client cannot keep the server from the others."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from serve.errors import Refused

BURST_SECONDS = 10.0  # requests of so many seconds may come at once


class Rates:
    """A token bucket for each name. per_minute: requests. clock: seconds, for tests."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate * BURST_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # requests left, at this time

    def count(self, name: str) -> None:
        """A request of `name`. Raises Refused (429) when it has made too many."""
        with self._lock:
            now = self._clock()
            left, then = self._buckets.get(name, (self._most, now))
            left = min(self._most, left + (now - then) * self._rate)
            if left < 1:
                self._buckets[name] = left, now
                wait = math.ceil((1 - left) / self._rate)
                raise Refused(429, f"this token makes more than {60 * self._rate:g} requests a minute", wait)
            self._buckets[name] = left - 1, now
