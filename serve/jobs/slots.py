"""Slots: jobs of one process run beside each other, but a job suspected of crashing the process runs alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RESERVED_SECONDS = 5.0  # a job that wants to run alone asks again much sooner, unless another process took it


class Slots:
    """Shared by the threads of a process that run jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._alone = False
        self._reserved_until = 0.0

    @contextmanager
    def taken(self, alone: bool) -> Iterator[bool]:
        """Whether a job may run now, for the duration of the context.

        alone: run it only while no other job runs; until it can, no other job begins.
        """
        granted = self._take(alone)
        try:
            yield granted
        finally:
            if granted:
                self._give_back()

    def _take(self, alone: bool) -> bool:
        with self._lock:
            if alone and self._running:
                self._reserved_until = time.monotonic() + RESERVED_SECONDS
                return False
            if self._alone or (not alone and time.monotonic() < self._reserved_until):
                return False
            self._running += 1
            self._alone = alone
            if alone:
                self._reserved_until = 0.0
            return True

    def _give_back(self) -> None:
        with self._lock:
            self._running -= 1
            self._alone = False
