"""Learning-rate schedule: its kind and shape, in fractions of the trial's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.parts.parameters import Range, Trial, choose, significant, switch

KINDS = ("cosine", "manual_step", "exponential", "constant")

# Times are fractions of the trial's steps; warm-up rates and final rates are fractions of the base rate.
WARMUP = Range(0.0, 0.25)  # the zoo has .008 to .08; .25 was published (500 of 2,000 steps)
WARMUP_RATE = Range(0.0, 0.5)  # the zoo has 1/80 and 1/3
BURNIN_RATE = Range(0.01, 0.5)  # not 0, which the API takes for the base rate
COSINE_HOLD = Range(0.0, 0.7)
STEP_WARMUP = Range(0.02, 0.15)
STEP_DROPS = (1, 2, 3)  # number of drops, evenly spaced from the first one to the end
STEP_FIRST = Range(0.2, 0.7)
STEP_FACTOR = Range(0.05, 0.6, log=True)  # relative to the rate before the drop
EXPONENTIAL_FINAL = Range(0.01, 0.5, log=True)  # final rate, relative to the base rate


def suggest(trial: Trial, base: float) -> dict[str, Any]:
    """The `schedule` of a Recipe with the peak learning rate `base`."""
    kind = choose(trial, "schedule", KINDS)
    if kind == "cosine":
        return {"kind": kind, "base": base} | _cosine(trial, base)
    if kind == "manual_step":
        return {"kind": kind, "base": base} | _manual_step(trial)
    if kind == "exponential":
        return {"kind": kind, "base": base} | _exponential(trial, base)
    return {"kind": kind, "base": base}


def _cosine(trial: Trial, base: float) -> dict[str, Any]:
    return {
        "warmup": WARMUP.suggest(trial, "cosine.warmup"),
        "warmup_rate": significant(base * WARMUP_RATE.suggest(trial, "cosine.warmup_rate")),
        "hold": COSINE_HOLD.suggest(trial, "cosine.hold"),
    }


def _manual_step(trial: Trial) -> dict[str, Any]:
    warmup = switch(trial, "manual_step.warmup")
    # the API warms up until the first drop, so a "drop" with factor 1 ends the warm-up
    drops = (
        [{"at": STEP_WARMUP.suggest(trial, "manual_step.warmup.fraction"), "factor": 1.0}] if warmup else []
    )
    count = choose(trial, "manual_step.drops", STEP_DROPS)
    ratios = [STEP_FACTOR.suggest(trial, f"manual_step.factor_{i + 1}") for i in range(count)]
    first, factor = STEP_FIRST.suggest(trial, "manual_step.first"), 1.0
    for i, ratio in enumerate(ratios):
        factor = significant(factor * ratio)
        drops.append({"at": significant(first + (1 - first) * i / count), "factor": factor})
    return {"drops": drops, "warmup": warmup}


def _exponential(trial: Trial, base: float) -> dict[str, Any]:
    return {
        "every": 1.0,
        "factor": EXPONENTIAL_FINAL.suggest(trial, "exponential.final"),
        "staircase": False,
        "burnin": WARMUP.suggest(trial, "exponential.burnin"),
        "burnin_rate": significant(base * BURNIN_RATE.suggest(trial, "exponential.burnin_rate")),
    }


def express(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `suggest`: the parameters that come closest to a Recipe's `schedule`."""
    kind, base = schedule["kind"], schedule["base"]
    params: dict[str, Any] = {"schedule": kind}
    if kind == "cosine":
        params |= {
            "cosine.warmup": schedule.get("warmup", 0.0),
            "cosine.warmup_rate": significant(schedule.get("warmup_rate", 0.0) / base),
            "cosine.hold": schedule.get("hold", 0.0),
        }
    elif kind == "manual_step":
        drops = list(schedule["drops"])
        if schedule.get("warmup", False):
            end = drops.pop(0) if drops[0]["factor"] == 1 and len(drops) > 1 else drops[0]
            params |= {"manual_step.warmup": True, "manual_step.warmup.fraction": end["at"]}
        params |= {"manual_step.drops": len(drops), "manual_step.first": drops[0]["at"]}
        before = 1.0
        for i, drop in enumerate(drops):
            params[f"manual_step.factor_{i + 1}"] = significant(drop["factor"] / before)
            before = drop["factor"]
    elif kind == "exponential":
        params |= {
            "exponential.final": significant(schedule["factor"] ** (1 / schedule["every"])),
            "exponential.burnin": schedule.get("burnin", 0.0),
            "exponential.burnin_rate": significant((schedule.get("burnin_rate", 0.0) or base) / base),
        }
    return params
