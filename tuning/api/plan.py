"""Plan: a forecast of a search's rungs, steps, disk space and time, which `--dry-run` prints."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trainers import model as models
from tuning.search.limits.budget import Budget, duration
from tuning.search.scheduler import Scheduler

# measured on a CPU: seconds until a new worker has done its first evaluation; a later trial's start and evaluation
COLD_SECONDS, WARM_SECONDS = 40.0, 6.0
# float32 values per parameter in a checkpoint: the parameter and Adam's two moments; other optimizers have fewer
VALUES_PER_PARAMETER = 3
MOST_TRIALS = 4096  # in a forecast


@dataclass(frozen=True)
class Plan:
    """A forecast. Times are for CPUs; the speed of a GPU is unknown before the first trial.

    trials: their number. rungs: in steps. arrivals: for each rung, the number of trials expected to train to it.
    steps: gradient steps of all trials. full_steps: the same without early stopping.
    checkpoint_bytes: size of the largest checkpoint. disk_bytes: of all checkpoints that are kept.
    seconds: of the search, start included; None if the speed of its models is unknown.
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
    """The forecast for a search with this budget, over an even mixture of models.

    pixels: for each model, pixels of all images of a gradient step, at its largest batch size.
    workers, cpus: number of workers, and CPUs of each. keep_checkpoints: number of ended trials that keep theirs.
    seconds_per_step: measured in earlier trials of the study; None to use the models' figures for a CPU.
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
    """The speedup of the models' gradient step on so many CPUs, against one; mean over the models."""
    return sum(models.get(name).cost.speedup(cpus) for name in names) / len(names)


def expected_arrivals(scheduler: Scheduler, trials: int) -> tuple[int, ...]:
    """The expected number of trials that train to each rung, when all orders of arrival are equally likely.

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


def lines(plan: Plan) -> list[str]:
    """The plan as lines for the user."""
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
    """A number of bytes as `380 MB` or `1.6 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
