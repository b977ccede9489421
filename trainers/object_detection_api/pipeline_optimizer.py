"""The optimizer and schedule of a `pipeline.config` as those of a recipe, in fractions of the steps."""

from __future__ import annotations

from typing import Any

from trainers.errors import UserError
from trainers.object_detection_api.architectures.plain import plain

KINDS = {"momentum_optimizer": "momentum", "adam_optimizer": "adam", "rms_prop_optimizer": "rms_prop"}


def optimizer_fields(optimizer: Any, steps: int) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """`optimizer` and `schedule` of a recipe of so many steps, and one phrase for each thing that had to change.

    optimizer: an `optimizer_pb2.Optimizer`. Raises UserError if it names none, or no learning rate.
    """
    name = optimizer.WhichOneof("optimizer")
    if name is None:
        raise UserError(f"train_config.optimizer: is missing; known are {', '.join(KINDS)}")
    given = getattr(optimizer, name)
    fields: dict[str, Any] = {"kind": KINDS[name]}
    if name != "adam_optimizer":
        fields["momentum"] = plain(given.momentum_optimizer_value)
    if name != "momentum_optimizer":
        fields["epsilon"] = plain(given.epsilon)
    if name == "rms_prop_optimizer":
        fields["decay"] = plain(given.decay)
    kind = given.learning_rate.WhichOneof("learning_rate")
    if kind is None:
        raise UserError(f"train_config.optimizer.{name}.learning_rate: is missing")
    rate = getattr(given.learning_rate, kind)
    schedule, changed = _SCHEDULES[kind](rate, steps)
    return fields, schedule, changed


def _constant(rate: Any, steps: int) -> tuple[dict[str, Any], list[str]]:
    return {"kind": "constant", "base": plain(rate.learning_rate)}, []


def _cosine(rate: Any, steps: int) -> tuple[dict[str, Any], list[str]]:
    base, total, changed = plain(rate.learning_rate_base), int(rate.total_steps), []
    most = 1 - 1 / steps  # one step, at least, is left for the decay
    warmup = min(rate.warmup_steps / steps, most)
    hold = min(rate.hold_base_rate_steps / steps, most - warmup)
    if total != steps:
        changed.append(f"cosine over {total:,} steps → over the {steps:,} steps of the training")
    first = plain(rate.warmup_learning_rate) if warmup else 0.0
    if first > base:  # the API refuses it
        changed.append(f"warmup_learning_rate {first:g} → {base:g}, the base rate")
    fields = {"kind": "cosine", "base": base, "warmup": warmup, "hold": hold}
    return fields | {"warmup_rate": min(base, first)}, changed


def _manual_step(rate: Any, steps: int) -> tuple[dict[str, Any], list[str]]:
    """With warm-up, the API's goes from the initial rate to the first drop's; a recipe's from 0."""
    within = [drop for drop in rate.schedule if 0 < drop.step < steps]
    at_once = [plain(drop.learning_rate) for drop in rate.schedule if not drop.step]
    left_out = len(rate.schedule) - len(within) - len(at_once)
    changed = [f"without {left_out} drops of the rate after step {steps:,}"] if left_out else []
    initial = plain(rate.initial_learning_rate)
    if at_once and at_once[-1] != initial:  # today's API refuses such a drop; TensorFlow 1.s took it
        changed.append(f"initial_learning_rate {initial:g} → {at_once[-1]:g}, the rate from step 0")
        initial = at_once[-1]
    base = plain(within[0].learning_rate) if rate.warmup and within else initial
    if not within or not base:  # a recipe refuses a base of 0
        return {"kind": "constant", "base": base}, changed
    if rate.warmup and initial:
        changed.append(f"warm-up from {initial:g} → from 0")
    drops = [
        {"at": drop.step / steps, "factor": float(f"{drop.learning_rate / base:.6g}")} for drop in within
    ]
    return {"kind": "manual_step", "base": base, "drops": drops, "warmup": rate.warmup}, changed


def _exponential(rate: Any, steps: int) -> tuple[dict[str, Any], list[str]]:
    base, every, factor = (
        plain(rate.initial_learning_rate),
        rate.decay_steps / steps,
        plain(rate.decay_factor),
    )
    if factor >= 1 or (every > 1 and rate.staircase):
        return {"kind": "constant", "base": base}, [] if factor >= 1 else [
            f"exponential decay every {rate.decay_steps:,} steps → constant for {steps:,} steps"
        ]
    if every > 1:
        factor, every = float(f"{factor ** (1 / every):.6g}"), 1.0
    fields = {
        "kind": "exponential", "base": base, "every": every, "factor": factor, "staircase": rate.staircase,
        "burnin": min(rate.burnin_steps / steps, 1 - 1 / steps), "burnin_rate": plain(rate.burnin_learning_rate),
        "min_rate": plain(rate.min_learning_rate),
    }  # fmt: skip
    return fields, []


_SCHEDULES = {
    "constant_learning_rate": _constant,
    "cosine_decay_learning_rate": _cosine,
    "manual_step_learning_rate": _manual_step,
    "exponential_decay_learning_rate": _exponential,
}
