"""What a search will take before it is begun: rungs, steps, disk and time; `--dry-run` prints it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tuning.search.budget import Budget, duration
from tuning.search.halving import Halving

# seconds of a gradient step at 160 px and batch 8 on a CPU core of 40 GFLOP/s beside another that does the same, as seen
# (RetinaNet50 from its batches of 2, EfficientDet from its 256 px, by their pixels)
CPU_STEP_SECONDS = {"mobilenet": 0.39, "retinanet": 3.8, "efficientdet": 0.84}
# the part of it that more cores share: MobileNet's by tests/benchmarks/threads.py, RetinaNet50's by steps of .93 s on
# one core and .49 on two, EfficientDet's a guess between them
SHARED_PART = {"mobilenet": 0.5, "retinanet": 0.95, "efficientdet": 0.6}
CPU_STEP_PIXELS = 160 * 160 * 8
# seconds until a new process has done its first evaluation, as seen there; a later trial's start and evaluation
COLD_SECONDS, WARM_SECONDS = 40.0, 6.0
# parameters of the zoo's models: the sizes of all variables of their checkpoints
PARAMETERS = {"mobilenet": 2_667_003, "retinanet": 32_916_219, "efficientdet": 8_393_075}
# float32 values a parameter has in a checkpoint: itself and Adam's two moments, the most of the optimizers here
VALUES_PER_PARAMETER = 3
MOST_TRIALS = 4096  # that a forecast looks at


@dataclass(frozen=True)
class Plan:
    """A forecast. Times are for CPUs; nothing is known of a GPU before it has run.

    rungs: steps; arrivals: how many trials are expected to train to each.
    steps: gradient steps of all trials; full_steps: were none stopped.
    checkpoint_bytes: of the largest checkpoint; disk_bytes: of those that are kept.
    seconds: of the search, start included; None when nothing is known of its detectors' speed.
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
    halving: Halving,
    budget: Budget,
    pixels: Mapping[str, int],
    workers: int,
    cpus: float,
    keep_checkpoints: int,
    seconds_per_step: float | None = None,
) -> Plan:
    """The forecast for a search of `budget` over an even mixture of detectors.

    pixels: for each detector, of all the images of its largest step. cpus: of each of the workers.
    keep_checkpoints: of so many ended trials.
    seconds_per_step: as measured by earlier trials of the study; None to go by what was seen on a CPU.
    """
    if seconds_per_step is None and all(name in CPU_STEP_SECONDS for name in pixels):
        each = [
            CPU_STEP_SECONDS[name] * count / CPU_STEP_PIXELS / speedup([name], cpus)
            for name, count in pixels.items()
        ]
        seconds_per_step = sum(each) / len(each)

    def of(trials: int) -> Plan:
        arrivals = expected_arrivals(halving, trials)
        rungs = tuple(halving.rungs)
        lengths = [rung - before for rung, before in zip(rungs, (0, *rungs), strict=False)]
        steps = sum(count * length for count, length in zip(arrivals, lengths, strict=True))
        seconds = None
        if seconds_per_step is not None:
            training = steps * seconds_per_step + sum(arrivals) * WARM_SECONDS
            seconds = COLD_SECONDS * len(pixels) + training / workers
        largest = max((PARAMETERS.get(name, 0) for name in pixels), default=0)
        checkpoint = largest * 4 * VALUES_PER_PARAMETER
        full = trials * rungs[-1]
        waiting = arrivals[1] if halving.mode == "promote" and len(rungs) > 1 else 0
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


def speedup(detectors: Collection[str], cpus: float) -> float:
    """How many times faster the detectors' gradient step is on so many cores, on average: Amdahl's law."""
    parts = [SHARED_PART.get(name, 0.6) for name in detectors]
    return sum(1 / (1 - part + part / max(1.0, cpus)) for part in parts) / len(parts)


def expected_arrivals(halving: Halving, trials: int) -> tuple[int, ...]:
    """How many of `trials` trials train to each rung, when all orders of their arrival are as likely.

    One in factor of them is promoted. Where trials are stopped instead, the n-th to arrive at a rung goes on when it is
    among the best n // factor so far: with that probability out of n.
    """
    arrivals = [trials]
    for _ in halving.rungs[1:]:
        if halving.mode == "promote":
            arrivals.append(max(1, arrivals[-1] // halving.reduction_factor))
            continue
        past = 0.0
        for n in range(1, arrivals[-1] + 1):
            kept = n if n < halving.quorum else max(1, n // halving.reduction_factor)
            past += kept / n
        arrivals.append(math.ceil(past - 1e-9))
    return tuple(arrivals)


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
