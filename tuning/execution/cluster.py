"""A Ray cluster: connecting to it, its machines, and how many workers of what size they take."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.errors import UserError
from trainers.hardware.machine import fit_on
from tuning.execution import ray_processes
from tuning.execution.machines.software import PACKAGES
from tuning.execution.python_path import ROOT

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the driver of a job
LOOK_SECONDS = 5.0  # between looks at the machines that there are
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


@dataclass(frozen=True)
class Node:
    """A machine of the cluster. memory: bytes. kind: of its GPUs, "" without any."""

    name: str
    cpus: float
    gpus: float = 0.0
    memory: float = math.inf
    kind: str = ""

    def __str__(self) -> str:
        gpus = f", {self.gpus:g} GPUs{f' ({self.kind})' if self.kind else ''}" if self.gpus else ""
        return f"{self.name}: {self.cpus:g} CPUs{gpus}"


@dataclass(frozen=True)
class Workers:
    """So many workers, and the CPUs and GPUs of each."""

    count: int
    cpus: float
    gpus: float


def connect(address: str) -> None:
    """Join the Ray cluster at `address`, to which this code is sent. Raises UserError when that is impossible."""
    import ray

    packages = [str(ROOT / name) for name in PACKAGES]
    # a Ray job's code was sent with the job
    code = {} if JOB in os.environ else {"runtime_env": {"py_modules": packages}}
    try:
        ray.init(address=address, **code, **QUIET)
    except Exception as error:  # Ray raises exceptions of many kinds
        said = " ".join(str(error).split())
        if "Version mismatch" in said:
            said = f"it runs another version ({said.partition('Version mismatch:')[2].strip() or said})"
        if "token" in said.lower():
            said += "; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the cluster's token"
        raise UserError(f"Ray cannot be reached at {address}: {said[:300]}") from error


@contextlib.contextmanager
def joined(address: str) -> Iterator[list[Node]]:
    """Within the block this process is connected to the cluster; yields its machines. Raises UserError."""
    import ray

    if ray.is_initialized():  # by the caller
        yield nodes_of(ray.nodes())
        return
    connect(address)
    try:
        yield nodes_of(ray.nodes())
    finally:
        ray_processes.stop()


def nodes_of(rows: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The machines that live, from the rows of ray.nodes()."""
    found = []
    for row in rows:
        if row.get("Alive", row.get("alive")):
            there = row.get("Resources", {})
            kinds = (name.partition(":")[2] for name in there if name.startswith("accelerator_type:"))
            found.append(
                Node(
                    str(row.get("NodeName") or row.get("NodeManagerAddress")),
                    float(there.get("CPU", 0)),
                    float(there.get("GPU", 0)),
                    float(there.get("memory", math.inf)),
                    next(kinds, ""),
                )
            )
    return found


def fit(node: Node, cpus: float, gpus: float, worker_bytes: float = 0.0) -> int:
    """How many workers of this size fit on a machine; a worker's GPU, or its share of one, is on one device."""
    by_cpu = int(node.cpus / cpus + 1e-9) if cpus else 10**6
    by_gpu = fit_on(int(node.gpus), gpus) if gpus else 10**6
    by_memory = int(node.memory / worker_bytes) if worker_bytes and math.isfinite(node.memory) else 10**6
    return min(by_cpu, by_gpu, by_memory)


def plan(
    nodes: Iterable[Node],
    workers: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    trials: int | None = None,
    worker_bytes: float = 0.0,
    autoscale: bool = False,
) -> Workers:
    """The workers for a search on these machines. None: as the machines allow.

    workers: at most so many, and no error if fewer fit while the cluster can grow. cpus, gpus: of each worker; without
    `gpus`, one where any machine has some; without `cpus`, an even share on the machine that has the fewest CPUs for
    each of its workers. trials: of the search. worker_bytes: memory of a worker. autoscale: machines of the given size
    will be started for workers, so that those that are there decide nothing.
    Raises UserError, with the machines that there are, when not a single worker fits.
    """
    if autoscale:
        if workers is None or cpus is None:
            raise UserError(
                "--autoscale needs --workers and --cpus-per-trial: the machines are still to come"
            )
        return Workers(min(workers, trials or workers), cpus, gpus or 0.0)
    machines = list(nodes)
    there = "; ".join(map(str, machines)) or "none"
    if not machines:
        raise UserError("the Ray cluster has no machine; start one, or give another --address")
    most_gpus, most_cpus = (max(getattr(node, kind) for node in machines) for kind in ("gpus", "cpus"))
    each_gpus = gpus if gpus is not None else (1.0 if most_gpus >= 1 else 0.0)
    if each_gpus > most_gpus:
        raise UserError(
            f"--gpus-per-trial {each_gpus:g}: no machine has so many GPUs ({there}); give a smaller --gpus-per-trial"
        )
    if cpus is not None and cpus > most_cpus:
        raise UserError(
            f"--cpus-per-trial {cpus:g}: no machine has so many CPUs ({there}); give a smaller --cpus-per-trial"
        )
    least_cpus = cpus if cpus is not None else 1.0
    fitting = [fit(node, least_cpus, each_gpus, worker_bytes) for node in machines]
    capacity = sum(fitting)
    if not capacity:
        size = f"{least_cpus:g} CPUs, {each_gpus:g} GPUs and {worker_bytes / 2**30:.0f} GiB of memory"
        raise UserError(f"no machine has room for a worker of {size} ({there}); give smaller shares")
    if cpus is None and each_gpus == 0 and workers is None:
        # as on one machine: few workers with many CPUs, since each proposal should know many results
        return Workers(
            min(len(machines), trials or len(machines)), math.floor(min(n.cpus for n in machines)), 0.0
        )
    count = min(capacity if workers is None else workers, trials or 10**6)
    if cpus is None:
        taken = _spread(machines, fitting, count)
        shares = [math.floor(node.cpus / each) for node, each in zip(machines, taken, strict=True) if each]
        least_cpus = max(1.0, float(min(shares)))
    return Workers(max(1, count), least_cpus, each_gpus)


def _spread(machines: Sequence[Node], fitting: Sequence[int], count: int) -> list[int]:
    """How many workers each machine has if `count` of them are spread evenly, as far as they fit."""
    taken = [0] * len(machines)
    for _ in range(min(count, sum(fitting))):
        free = [i for i in range(len(machines)) if taken[i] < fitting[i]]
        taken[max(free, key=lambda i: machines[i].cpus / (taken[i] + 1))] += 1
    return taken


class Room:
    """How many workers of this size the cluster has room for now: it follows machines that join and leave."""

    def __init__(self, cpus: float, gpus: float) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._count, self._not_before = 1, 0.0

    def __call__(self) -> int:
        """At least one; asks Ray at most once in LOOK_SECONDS."""
        import ray

        if time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + LOOK_SECONDS
            room = sum(fit(node, self._cpus, self._gpus) for node in nodes_of(ray.nodes()))
            self._count = max(1, room)
        return self._count


def waiting(nodes: Iterable[Node], wanted: Workers) -> str:
    """What the workers still lack, for the user, such as "waiting for 3 GPUs"; "" if all have a place."""
    there = sum(fit(node, wanted.cpus, wanted.gpus) for node in nodes)
    lacking = wanted.count - there
    if lacking <= 0:
        return ""
    if wanted.gpus:
        return f"waiting for {lacking * wanted.gpus:g} GPUs ({there} of {wanted.count} workers have a place)"
    return f"waiting for {lacking * wanted.cpus:g} CPUs ({there} of {wanted.count} workers have a place)"
