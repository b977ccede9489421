"""Plan: a forecast of a search's rungs, steps, disk space and time, which `--dry-run` prints."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainers import model as models
from trainers.errors import UserError
from tuning.api.forecast.speed import TABLE, Speed
from tuning.search.limits.budget import Budget, duration
from tuning.search.limits.ending import FEWEST_TO_CHOOSE
from tuning.search.limits.expectation import all_steps, expected
from tuning.search.scheduler import Scheduler
from tuning.search.schedulers.halving import MOST_WAITING

# float32 values per parameter in a checkpoint: the parameter and Adam's two moments; other optimizers have fewer
VALUES_PER_PARAMETER = 3
MOST_TRIALS = 4096  # in a forecast


@dataclass(frozen=True)
class Plan:
    """A forecast.

    trials: their number; at least so many if seconds are limited and unknown. rungs: in steps.
    arrivals: for each rung, the number of trials expected to train to it.
    steps: gradient steps of all trials. full_steps: the same without early stopping.
    checkpoint_bytes: size of the largest checkpoint. disk_bytes: of all checkpoints that are kept.
    seconds: of the search, start included; None if the speed of its models is unknown, as that of a GPU is before the
        first trial. sources: where the speeds are known from, for the user.
    confirm: how many of the trials train the best ones again.
    """

    trials: int
    rungs: tuple[int, ...]
    arrivals: tuple[int, ...]
    steps: int
    full_steps: int
    checkpoint_bytes: int
    disk_bytes: int
    seconds: float | None
    sources: tuple[str, ...] = ()
    confirm: int = 0


def plan(
    scheduler: Scheduler,
    budget: Budget,
    speeds: Mapping[str, Speed],
    workers: int,
    keep_checkpoints: int,
    gpus: float = 0.0,
    confirm: int = 0,
    graphs: Callable[[int], float] = lambda trials: 1,
    parameters: int | None = None,
) -> Plan:
    """The forecast for a search with this budget, over an even mixture of models.

    speeds: of each model. workers: their number. keep_checkpoints: number of ended trials that keep theirs.
    gpus: of each worker; with any, a speed from the table for CPUs is unknown.
    confirm: the number of full trainings that the search ends with.
    graphs: number of trials -> number of different graphs that they need, each of which a worker builds.
    parameters: number of scalars in the variables of the largest trial; None for the models' own.
    """
    steps_known = [
        speed.step
        for speed in speeds.values()
        if speed.step is not None and not (gpus and speed.source == TABLE)
    ]
    step = statistics.mean(steps_known) if steps_known and len(steps_known) == len(speeds) else None
    stage = statistics.mean(speed.stage for speed in speeds.values())
    cold = [speed.cold for speed in speeds.values()]
    if parameters is None:
        parameters = max((models.get(name).cost.parameters for name in speeds), default=0)
    checkpoint = parameters * 4 * VALUES_PER_PARAMETER

    def of(trials: int) -> Plan:
        searched, evaluations = expected(scheduler, trials - confirm)
        arrivals = tuple(count + confirm for count in searched)
        evaluations += confirm * len(searched)
        rungs = tuple(scheduler.rungs)
        steps = all_steps(rungs, arrivals)
        building = max(sum(cold), graphs(trials) * statistics.mean(cold) / workers)
        seconds = None if step is None else building + (steps * step + evaluations * stage) / workers
        waiting = 0
        if scheduler.pauses and len(rungs) > 1:
            waiting = min(arrivals[1], (MOST_WAITING + scheduler.reduction_factor) * (len(rungs) - 1))
        return Plan(
            trials,
            rungs,
            arrivals,
            steps,
            trials * rungs[-1],
            checkpoint,
            checkpoint * min(trials, keep_checkpoints + workers + waiting),
            seconds,
            tuple(dict.fromkeys(speed.source for speed in speeds.values())),
            confirm,
        )

    def affordable(plan: Plan) -> bool:
        hours, steps = budget.all_gpu_hours, budget.trainings
        if plan.seconds is None and (budget.seconds is not None or hours is not None):
            return False
        in_time = budget.seconds is None or plan.seconds is None or plan.seconds <= budget.seconds
        in_hours = hours is None or plan.seconds is None or plan.seconds * workers * gpus <= hours * 3600
        return in_time and in_hours and (steps is None or plan.steps <= steps * plan.rungs[-1])

    most = budget.trials or MOST_TRIALS
    if affordable(of(most)):
        return of(most)
    trials = confirm + FEWEST_TO_CHOOSE if confirm else 1
    while 2 * trials < most and affordable(of(2 * trials)):
        trials *= 2
    fits = bisect.bisect_left(
        range(trials, min(2 * trials, most)), True, key=lambda count: not affordable(of(count))
    )
    return of(max(trials, trials + fits - 1))


def check_confirm(planned: Plan, budget: Budget) -> None:
    """Raise UserError when the time limit does not pay for the confirmation and the smallest search before it.

    Nothing is known while the speed is not.
    """
    if planned.confirm and budget.seconds is not None and (planned.seconds or 0.0) > budget.seconds:
        raise UserError(
            f"--confirm {planned.confirm} is larger than the budget: with a search of {FEWEST_TO_CHOOSE} trials before "
            f"it takes about {duration(planned.seconds or 0.0)}; give more --time, or a smaller --confirm"
        )


def lines(plan: Plan) -> list[str]:
    """The plan as lines for the user."""
    rungs = ", ".join(
        f"{step:,} ({count} trials)" for step, count in zip(plan.rungs, plan.arrivals, strict=True)
    )
    time = "unknown before the first trial"
    if plan.seconds is not None:
        time = f"about {duration(plan.seconds)}, {' and '.join(plan.sources)}"
    again = [f"confirm  {plan.confirm} of the trials train the best ones again"]
    return [
        *(again if plan.confirm else ()),
        f"rungs    {rungs}",
        f"steps    about {plan.steps:,}; {plan.full_steps:,} if none were stopped early",
        f"disk     up to {size(plan.disk_bytes)} for checkpoints ({size(plan.checkpoint_bytes)} each)",
        f"time     {time}",
    ]


def size(count: float) -> str:
    """A number of bytes as `380 MB` or `1.6 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
