"""AtOnce: how many trials may train at once: as many as there are workers, fewer where the memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable


class AtOnce:
    """workers: returns the number of workers that may run now."""

    def __init__(self, workers: Callable[[], int]) -> None:
        self._workers = workers
        self._most: int | None = None

    def __call__(self) -> int:
        """The number of trials that may train at once now, at least 1."""
        workers = self._workers()
        return workers if self._most is None else min(workers, self._most)

    def lower(self, running: int) -> bool:
        """A worker was ended for want of memory while so many ran: one fewer from now on, unless only one may."""
        fewer = min(self(), running) - 1
        if fewer < 1:
            return False
        self._most = fewer
        return True
