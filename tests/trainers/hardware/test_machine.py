"""What a process may use of its machine: the limits of containers, and the GPUs that it sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers.errors import UserError
from trainers.hardware import machine
from tuning.execution.engine import Resources, _check_fits

GB = 2**30


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {  # version 2 in a container, which sees its own cgroup as the root
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{2 * GB}\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
        },
        {  # version 2 on a host: the limit is that of a cgroup above
            "proc/self/cgroup": "0::/batch.slice/job-7.scope\n",
            "sys/fs/cgroup/batch.slice/memory.max": f"{2 * GB}\n",
            "sys/fs/cgroup/batch.slice/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/batch.slice/job-7.scope/memory.max": "max\n",
            "sys/fs/cgroup/batch.slice/job-7.scope/cpu.max": "max 100000\n",
        },
        {  # version 1
            "proc/self/cgroup": "11:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n",
            "sys/fs/cgroup/memory/docker/4f/memory.limit_in_bytes": f"{2 * GB}\n",
            "sys/fs/cgroup/cpu/docker/4f/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/docker/4f/cpu.cfs_period_us": "100000\n",
        },
        {  # version 1 in a container, whose own cgroup is mounted at the top
            "proc/self/cgroup": "11:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GB}\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
    ids=["v2 in a container", "v2 above", "v1", "v1 in a container"],
)
def test_a_container_has_its_own_memory_and_cpus_not_the_hosts(tmp_path, files):
    root = written(tmp_path, files)
    assert machine.memory_here(root) == 2 * GB
    assert machine.cpus_here(root) == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n"},
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "max",
            "sys/fs/cgroup/cpu.max": "max 100000",
        },
        {
            "proc/self/cgroup": "2:memory:/\n3:cpu:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_without_a_limit_all_of_the_machine_is_there(tmp_path, files, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}[name])
    root = written(tmp_path, files)
    assert machine.memory_here(root) == 4 * GB
    assert machine.cpus_here(root) == 6


FOUR = "\n".join(f"GPU {i}: NVIDIA A100-SXM4-40GB (UUID: GPU-{i}a)" for i in range(4))
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0a)
  MIG 3g.20gb     Device  0: (UUID: MIG-11)
  MIG 3g.20gb     Device  1: (UUID: MIG-12)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1a)"""


@pytest.mark.parametrize(
    ("listed", "visible", "expected"),
    [
        (FOUR, None, ["0", "1", "2", "3"]),
        (FOUR, "", []),
        (FOUR, "1,3", ["1", "3"]),
        (FOUR, "1,-1,3", ["1"]),
        (FOUR, "1,7,3", ["1"]),
        (FOUR, "GPU-2a", ["GPU-2a"]),
        (DIVIDED, None, ["MIG-11", "MIG-12", "1"]),
        (DIVIDED, "MIG-12", ["MIG-12"]),
    ],
)
def test_the_gpus_are_those_that_cuda_shows_and_mig_devices_count_as_gpus(
    tmp_path, monkeypatch, listed, visible, expected
):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.gpu_ids({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_a_machine_without_nvidias_driver_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus_here() == 0


@pytest.mark.parametrize(("workers", "gpus"), [(6, 0.5), (8, 0.4), (4, 0.7), (4, 1.0), (40, 0.1)])
def test_workers_that_fit_on_whole_gpus_are_placed(workers, gpus):
    _check_fits(Resources(workers, 1, gpus), {"CPU": 64, "GPU": 4})


@pytest.mark.parametrize(("workers", "gpus", "most"), [(6, 2 / 3, 4), (10, 0.4, 8), (5, 1.0, 4)])
def test_workers_that_do_not_fit_on_whole_gpus_are_refused(workers, gpus, most):
    with pytest.raises(UserError, match=f"--workers {workers}: only {most} fit on 4 GPUs with"):
        _check_fits(Resources(workers, 1, gpus), {"CPU": 64, "GPU": 4})
