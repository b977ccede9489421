"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
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
