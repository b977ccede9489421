"""The environment of a trial: the version of the code, the machine, and the trial's share of it."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainers.files import write_text
from trainers.hardware.machine import cpus_here, memory_here
from tuning.study.spent import Price, Spent

HARDWARE_FILE = "hardware.json"  # in a trial's folder: the machine that trained it last


@dataclass(frozen=True)
class Share:
    """A trial's share of a machine.

    threads: CPU threads. gpus: GPUs, or a fraction of one. price: None if unknown.
    """

    threads: int = 1
    gpus: float = 0.0
    price: Price | None = None

    def cost(self, spent: Spent) -> float | None:
        """The cost of a trial; None if the price is unknown."""
        return None if self.price is None else self.price.of(spent, spent.gpu_hours(self.gpus))


@cache
def code() -> dict[str, str]:
    """The git commit of this code, under MLflow's tag for it, and whether files have changed since; {} without git."""
    root = str(Path(__file__).resolve().parents[2])
    git = ["git", "-C", root]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {
        "mlflow.source.git.commit": commit.stdout.strip(),
        "git.changed": str(bool(status.stdout.strip())),
    }


@cache
def hardware() -> dict[str, str]:
    """This machine: cpu, cores, memory_gb, gpu."""
    return {
        "cpu": _cpu(),
        "cores": str(cpus_here()),
        "memory_gb": f"{memory_here() / 1e9:.0f}",
        "gpu": _gpu(),
    }


def note_hardware(trial: Path) -> None:
    """Write hardware.json into a trial's folder."""
    write_text(trial / HARDWARE_FILE, json.dumps(hardware()))


def noted_hardware(trial: Path) -> dict[str, str]:
    """The content of a trial's hardware.json; {} if there is none."""
    try:
        kept: dict[str, str] = json.loads((trial / HARDWARE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return kept


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu() -> str:
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split(
            "\n"
        )
    except (OSError, subprocess.SubprocessError):
        return "none"
    return ", ".join(filter(None, map(str.strip, names))) or "none"
