"""Clocks: how far those of a cluster's machines are from the driver's.

A search compares no clocks: leases and deadlines count seconds of one machine. But the times in its files are those of
the machine that wrote them, and S3 refuses requests that were signed more than 15 minutes apart from its own time
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from trainers.errors import UserError

SAID = 5.0  # seconds
REFUSED = 600.0  # seconds, where studies are in S3
ANSWER_SECONDS = 60.0  # for the start of a process on each machine


def seconds_ahead(ask: Callable[[], float]) -> float:
    """By how many seconds a clock is at least ahead of this machine's; negative if it is behind.

    ask: returns the other clock's time. It was read at some moment of the call, so that a difference within the call's
    duration counts as 0.
    """
    before = time.time()
    there = ask()
    after = time.time()
    return min(0.0, there - before) or max(0.0, there - after)


def ahead_by_machine() -> dict[str, float]:
    """`seconds_ahead` of each machine of the connected cluster that answers, by its name."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    clock = ray.remote(num_cpus=0)(_now)
    clocks = {
        str(row["NodeName"]): clock.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(row["NodeID"], soft=False)
        )
        for row in ray.nodes()
        if row["Alive"]
    }
    first = {name: each.remote() for name, each in clocks.items()}  # starts the processes, side by side
    started, _ = ray.wait(list(first.values()), num_returns=len(first), timeout=ANSWER_SECONDS)
    found = {}
    for name, each in clocks.items():
        if first[name] in started:
            with contextlib.suppress(ray.exceptions.RayError):  # the machine was lost meanwhile
                found[name] = seconds_ahead(partial(_time_of, each))
    return found


def _now() -> float:
    return time.time()  # Ray takes no built-in function


def _time_of(clock: Any) -> float:
    import ray

    return float(ray.get(clock.remote(), timeout=ANSWER_SECONDS))


def check(ahead: Mapping[str, float], in_s3: bool) -> list[str]:
    """A line for each machine whose clock is apart. Raises UserError where its requests to S3 would be refused."""
    lines = []
    for machine, seconds in ahead.items():
        if abs(seconds) < SAID:
            continue
        said = f"the clock of {machine} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
        if in_s3 and abs(seconds) > REFUSED:
            raise UserError(
                f"{said}, and S3 refuses what it signs; set it by NTP (chrony, systemd-timesyncd)"
            )
        lines.append(f"{said}: times in its trials' files are that far apart")
    return lines
