"""Expectation: how many trials train to each rung, and so how many gradient steps a search takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tuning.search.scheduler import Scheduler


def expected(scheduler: Scheduler, trials: int) -> tuple[tuple[int, ...], int]:
    """The number of trials that train to each rung, and the number of evaluations, of the trials in all brackets.

    A trial in a higher bracket trains past the first rungs without an evaluation.
    """
    rungs = len(scheduler.rungs)
    brackets = Counter(rungs - len(scheduler.rungs_of(trial)) for trial in range(trials))
    arrivals, evaluations = [0] * rungs, 0
    for skipped, count in brackets.items():
        arrived = expected_arrivals(scheduler, count)[: rungs - skipped]
        evaluations += sum(arrived)
        for rung, number in enumerate([count] * skipped + list(arrived)):
            arrivals[rung] += number
    return tuple(arrivals), evaluations


def all_steps(rungs: Sequence[int], arrivals: Sequence[int]) -> int:
    """The gradient steps of all trials, of which so many train to each rung."""
    lengths = [rung - before for rung, before in zip(rungs, (0, *rungs), strict=False)]
    return sum(count * length for count, length in zip(arrivals, lengths, strict=True))


def expected_arrivals(scheduler: Scheduler, trials: int) -> tuple[int, ...]:
    """The expected number of trials of a bracket that train to each rung, if all orders of arrival are equally likely.

    A promoting scheduler promotes one in reduction_factor. A stopping one lets the n-th trial at a rung go on if it is
    among the best n // reduction_factor so far, which has the probability (n // reduction_factor) / n.
    """
    arrivals = [trials]
    for _ in scheduler.rungs[1:]:
        if scheduler.reduction_factor == 1:
            arrivals.append(trials)
        elif scheduler.pauses:
            arrivals.append(max(1, arrivals[-1] // scheduler.reduction_factor))
        else:
            past = sum(_kept(scheduler, n) / n for n in range(1, arrivals[-1] + 1))
            arrivals.append(math.ceil(past - 1e-9))
    return tuple(arrivals)


def _kept(scheduler: Scheduler, count: int) -> int:
    quorum = getattr(scheduler, "quorum", 1)
    return count if count < quorum else max(1, count // scheduler.reduction_factor)
