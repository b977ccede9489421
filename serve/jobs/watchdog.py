"""Watchdog: notices jobs that make no progress, because a decoder, an encoder or another stage hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serve.jobs.job import Job


class Stalled(Exception):
    """A job made no progress for too long; the message says how long."""


@dataclass
class _Watched:
    job: Job
    seen: float
    reported: bool = False


class Watchdog:
    """Of one process. A thread that hangs in native code cannot be ended, only its process can.

    seconds: without a sign of life, after which a job has stalled. clock: seconds, for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}

    @contextmanager
    def watching(self, job: Job) -> Iterator[Callable[[], None]]:
        """Watch the job for the duration of the context. Gives the function to call at each sign of life."""
        watched = _Watched(job, self._clock())
        with self._lock:
            self._watched[job.id] = watched

        def alive() -> None:
            watched.seen = self._clock()

        try:
            yield alive
        finally:
            with self._lock:
                del self._watched[job.id]

    def stalled(self) -> list[tuple[Job, Stalled]]:
        """The jobs that have stalled since the last call, each with the reason; each job once."""
        with self._lock:
            found = [each for each in self._watched.values() if self._is_late(each) and not each.reported]
            for each in found:
                each.reported = True
        return [(each.job, Stalled(f"no progress for {self._clock() - each.seen:.0f} s")) for each in found]

    @property
    def problem(self) -> str | None:
        """Why the process should be replaced: the jobs whose threads hang, or None."""
        with self._lock:
            late = [each.job.id for each in self._watched.values() if self._is_late(each)]
        return f"no progress for {self._seconds:g} s or more in {', '.join(late)}" if late else None

    def _is_late(self, watched: _Watched) -> bool:
        return self._clock() - watched.seen > self._seconds
