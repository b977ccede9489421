"""Memory: what a worker of a search needs, by the largest trial that it may train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces.conditions import Conditions

if TYPE_CHECKING:
    from search_spaces.space import Space  # imports Optuna, for which --help does not wait

# graph, optimizer and averages of the largest single model take 1.5 GB; a worker may keep three
WORKER_BYTES = 4 * 2**30
# of larger ones: a process, and for each parameter its gradient, two moments and copies (docs/benchmarks.md)
PROCESS_BYTES, PARAMETER_BYTES = 1.1e9, 24


def memory_of_worker(space: Space, conditions: Conditions) -> float:
    """Bytes of a worker of a search over the space."""
    most = max(branch.most_parameters(conditions) for branch in space.branches)
    needed = max(WORKER_BYTES, PROCESS_BYTES + PARAMETER_BYTES * most)
    return needed if conditions.preset == "laptop" else 2 * needed
