"""What a search will take before it is begun: rungs, steps, disk and time; `--dry-run` prints it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trainers import model as models
from tuning.search.budget import Budget, duration
from tuning.search.scheduler import Scheduler

# seconds until a new process has done its first evaluation, as seen there; a later trial's start and evaluation
COLD_SECONDS, WARM_SECONDS = 40.0, 6.0
# float32 values a parameter has in a checkpoint: itself and Adam's two moments, the most of the optimizers here
VALUES_PER_PARAMETER = 3
MOST_TRIALS = 4096  # that a forecast looks at


@dataclass(frozen=True)
class Plan:
    """A forecast. Times are for CPUs; nothing is known of a GPU before it has run.

    rungs: steps; arrivals: how many trials are expected to train to each.
    steps: gradient steps of all trials; full_steps: were none stopped.
    checkpoint_bytes: of the largest checkpoint; disk_bytes: of those that are kept.
    seconds: of the search, start included; None when nothing is known of its models' speed.
    """

    trials: int
    rungs: tuple[int, ...]
    arrivals: tuple[int, ...]
    steps: int
    full_steps: int
    checkpoint_bytes: int
    disk_bytes: int
    seconds: float | None


def plan(
    scheduler: Scheduler,
    budget: Budget,
    pixels: Mapping[str, int],
    workers: int,
    cpus: float,
    keep_checkpoints: int,
    seconds_per_step: float | None = None,
) -> Plan:
    """The forecast for a search of `budget` over an even mixture of models.

    pixels: for each model, of all the images of its largest step. cpus: of each of the workers.
    keep_checkpoints: of so many ended trials.
    seconds_per_step: as measured by earlier trials of the study; None to go by what was seen on a CPU.
    """
    costs = {name: models.get(name).cost for name in pixels}
    if seconds_per_step is None:
        each = [costs[name].step_seconds(count, cpus) for name, count in pixels.items()]
        known = [seconds for seconds in each if seconds is not None]
        seconds_per_step = sum(known) / len(known) if known and len(known) == len(each) else None

    def of(trials: int) -> Plan:
        arrivals = expected_arrivals(scheduler, trials)
        rungs = tuple(scheduler.rungs)
        lengths = [rung - before for rung, before in zip(rungs, (0, *rungs), strict=False)]
        steps = sum(count * length for count, length in zip(arrivals, lengths, strict=True))
        seconds = None
        if seconds_per_step is not None:
            training = steps * seconds_per_step + sum(arrivals) * WARM_SECONDS
            seconds = COLD_SECONDS * len(pixels) + training / workers
        largest = max((cost.parameters for cost in costs.values()), default=0)
        checkpoint = largest * 4 * VALUES_PER_PARAMETER
        full = trials * rungs[-1]
        waiting = arrivals[1] if scheduler.pauses and len(rungs) > 1 else 0
        return Plan(
            trials,
            rungs,
            arrivals,
            steps,
            full,
            checkpoint,
            checkpoint * min(trials, keep_checkpoints + workers + waiting),
            seconds,
        )

    def affordable(plan: Plan) -> bool:
        seconds, steps = budget.seconds, budget.trainings
        in_time = seconds is None or plan.seconds is None or plan.seconds <= seconds
        return in_time and (steps is None or plan.steps <= steps * plan.rungs[-1])

    if budget.trials is not None:
        return of(budget.trials)
    trials = 1
    while trials < MOST_TRIALS and affordable(of(2 * trials)):
        trials *= 2
    fits = bisect.bisect_left(range(trials, 2 * trials), True, key=lambda count: not affordable(of(count)))
    return of(max(1, trials + fits - 1))


def speedup(names: Collection[str], cpus: float) -> float:
    """How many times faster the models' gradient step is on so many cores, on average."""
    return sum(models.get(name).cost.speedup(cpus) for name in names) / len(names)


def expected_arrivals(scheduler: Scheduler, trials: int) -> tuple[int, ...]:
    """How many of `trials` trials train to each rung, when all orders of their arrival are as likely.

    One in factor of them is promoted. Where trials are stopped instead, the n-th to arrive at a rung goes on when it is
    among the best n // factor so far: with that probability out of n.
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


def lines(plan: Plan) -> list[str]:
    """The plan as a person reads it."""
    rungs = ", ".join(
        f"{step:,} ({count} trials)" for step, count in zip(plan.rungs, plan.arrivals, strict=True)
    )
    time = (
        "unknown before the first trial"
        if plan.seconds is None
        else f"about {duration(plan.seconds)} on a CPU"
    )
    return [
        f"rungs    {rungs}",
        f"steps    about {plan.steps:,}; {plan.full_steps:,} if none were stopped early",
        f"disk     up to {size(plan.disk_bytes)} for checkpoints ({size(plan.checkpoint_bytes)} each)",
        f"time     {time}",
    ]


def size(count: float) -> str:
    """Bytes as `380 MB` or `1.6 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
