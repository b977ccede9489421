"""Contention: which share of the CPUs that a measurement needed was taken by other programs meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")  # Linux; elsewhere nothing is known
BUSY = 0.1  # share from which on a measurement is not to be trusted


class Contention:
    """Measures from when it is made until `share` is called. threads: that the measured program runs on."""

    def __init__(self, threads: int, stat: Path = STAT) -> None:
        self._threads = threads
        self._stat = stat
        self._began = self._now()

    def share(self) -> float:
        """0 if every thread could have had a CPU to itself all the time, 1 if others needed as many; 0 if unknown."""
        (wall, own, everybody), now = self._began, self._now()
        seconds = now[0] - wall
        if seconds <= 0:
            return 0.0
        others = max(0.0, (now[2] - everybody) - (now[1] - own)) / seconds  # CPUs that they kept busy
        return max(0.0, others + self._threads - (os.cpu_count() or 1)) / self._threads

    def _now(self) -> tuple[float, float, float]:
        """Seconds: of the clock, of CPU time of this process, and of CPU time of all processes since the start."""
        own = os.times()
        return time.monotonic(), own.user + own.system, self._everybody()

    def _everybody(self) -> float:
        try:
            user, nice, system = map(int, self._stat.read_text(encoding="ascii").split(maxsplit=4)[1:4])
        except (OSError, ValueError):
            return 0.0
        return (user + nice + system) / os.sysconf("SC_CLK_TCK")
