"""LeftOut: machines with a full disk or other software get no more trials; the search goes on with the others.

A trial's worker that cannot train there says so. An actor then takes the worker's place, so that Ray puts no other
worker on that machine, and leaves it when the disk can be written again.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOK_SECONDS = 30.0
PROBE_BYTES = 64 * 2**20  # that must fit before a machine is used again


@dataclass(frozen=True)
class Unfit:
    """A machine that cannot train. Not a mapping, which Ray would take apart on its way to the driver.

    node: Ray's id of it. folder: that must become writable; "" for a machine that is unfit for as long as it is there.
    reason: in a line.
    """

    node: str
    folder: str
    reason: str


class _Hold:
    """Occupies a worker's place on a machine."""

    def wait(self, folder: str) -> None:
        """Return when the folder's disk can be written again; never for ""."""
        while not folder or not writable(Path(folder)):
            time.sleep(LOOK_SECONDS)


def writable(folder: Path, size: int = PROBE_BYTES) -> bool:
    """Whether so many bytes can be written to the folder's disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            for _ in range(0, size, 2**20):
                probe.write(bytes(min(size, 2**20)))
            probe.flush()
    except OSError:
        return False
    return True


class LeftOut:
    """cpus, gpus: of a worker."""

    def __init__(self, cpus: float, gpus: float) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._held: dict[Any, tuple[str, Any]] = {}  # by what `wait` will return: machine and actor

    def add(self, unfit: Unfit) -> None:
        """Take the place of a worker on the machine."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = (
            ray.remote(_Hold)
            .options(
                num_cpus=self._cpus,
                num_gpus=self._gpus,
                scheduling_strategy=NodeAffinitySchedulingStrategy(unfit.node, soft=False),
            )
            .remote()
        )
        self._held[actor.wait.remote(unfit.folder)] = unfit.node, actor

    def release(self) -> None:
        """Give up the places on machines that can be used again, or are gone."""
        import ray

        if self._held:
            over, _ = ray.wait(list(self._held), num_returns=len(self._held), timeout=0)
            for each in over:
                del self._held[each]

    def everywhere(self) -> bool:
        """Whether no machine is left on which a worker could run."""
        import ray

        left_out = {node for node, _ in self._held.values()}
        return all(
            row["NodeID"] in left_out
            for row in ray.nodes()
            if row["Alive"]
            and row["Resources"].get("CPU", 0) >= self._cpus
            and row["Resources"].get("GPU", 0) >= self._gpus
        )
