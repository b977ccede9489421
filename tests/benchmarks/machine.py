"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """CPU, cores, Python and the versions that matter."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    installed = {d.metadata["Name"].replace("-", "_"): d.version for d in importlib.metadata.distributions()}
    names = ("tensorflow", "tensorflow_cpu", "tf_keras", "openvino", "av", "ray", "optuna", "mlflow", "numpy")
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in names if name in installed},
    }


class Others:
    """How many cores other processes take, from its making on; ended children of this process are not others."""

    def __init__(self) -> None:
        self._began = self._clocks()

    def cores(self) -> float:
        """On average."""
        wall, all_of_it, own = (now - then for now, then in zip(self._clocks(), self._began, strict=True))
        return max(0.0, all_of_it - own) / wall

    def _clocks(self) -> tuple[float, float, float]:
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        idle = (3, 4)  # and waiting for a disk
        busy = sum(int(word) for place, word in enumerate(words[:8]) if place not in idle)
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(one.ru_utime + one.ru_stime for one in own)
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), seconds
