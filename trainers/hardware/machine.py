"""The CPUs, memory and GPUs of this machine that this process may use: a container's, not the host's."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
ROOT = Path("/")


def cpus_here(root: Path = ROOT) -> int:
    """Number of CPUs that this process may use, by its affinity and the quota of its cgroups; at least 1.

    root: where /proc and /sys are.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_cpu_quota(folder) for folder in (*_cgroups(root, ""), *_cgroups(root, "cpu"))]
    return max(1, math.floor(min([cpus, *(quota for quota in quotas if quota is not None)])))


def memory_here(root: Path = ROOT) -> int:
    """Bytes of memory that this process may use: the machine's, or less by the limit of its cgroups.

    root: where /proc and /sys are.
    """
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    files = [folder / "memory.max" for folder in _cgroups(root, "")]
    files += [folder / "memory.limit_in_bytes" for folder in _cgroups(root, "memory")]
    return min([*sizes, *(int(text) for file in files if (text := _text(file)).isdigit())])


def gpus_here() -> int:
    """Number of GPUs that this process may use; a MIG device counts as one."""
    return len(gpu_ids())


def gpu_ids(environment: Mapping[str, str] | None = None) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process may use.

    They are those in CUDA_VISIBLE_DEVICES if it is set, otherwise the GPUs that NVIDIA's driver lists; a GPU that is
    divided into MIG devices counts as these.
    """
    visible = (os.environ if environment is None else environment).get(VISIBLE)
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False, timeout=30).stdout
    there = _listed(listed)
    if visible is None:
        return there
    found = []
    for name in filter(None, map(str.strip, visible.split(","))):
        if (name.isdigit() and int(name) >= len(there)) or name.startswith("-"):
            break  # CUDA ignores a wrong index and all after it
        found.append(name)
    return found


def fit_on(gpus: int, each: float) -> int:
    """How many workers with `each` GPUs, or with this share of one, fit on so many GPUs; a share is of one device."""
    return int(gpus / each + 1e-9) if each >= 1 else gpus * int(1 / each + 1e-9)


def _listed(lines: str) -> list[str]:
    """The ids in the output of `nvidia-smi -L`: indices of GPUs, or UUIDs of MIG devices."""
    found: list[str] = []
    for line in lines.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append(gpu[1])
        elif mig := re.search(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)", line):
            if found and found[-1].isdigit():
                found.pop()
            found.append(mig[1])
    return found


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of those above it; "" for version 2, a controller for version 1."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            top = root / "sys/fs/cgroup" / controller
            own = top / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder == top or top in folder.parents)


def _cpu_quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")  # version 2
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(quota) > 0 else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
