"""Optimization: optimizer, learning rate, gradient clipping, L2 regularization and weight averaging.

Ranges of learning rates are specific to a detector and are in its module; all other ranges are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.parts.parameters import Range, Trial, choose, significant, switch

# optimizer -> parameter -> range; the API's defaults are 1e-8, .9, .9 and 1
OPTIMIZERS: dict[str, dict[str, Range]] = {
    "adam": {"epsilon": Range(1e-8, 1e-4, log=True)},
    "adamw": {"weight_decay": Range(1e-4, 0.3, log=True)},  # published: .05
    "momentum": {"momentum": Range(0.8, 0.97)},
    # With an epsilon near 1, RMSProp's step is proportional to the gradient and its learning rates are similar to
    # momentum's; much smaller values would need their own range of learning rates.
    "rms_prop": {
        "momentum": Range(0.8, 0.95),
        "decay": Range(0.85, 0.99),
        "epsilon": Range(0.1, 1.0, log=True),
    },
}
GRADIENT_CLIP = Range(1.0, 20.0, log=True)  # global norm
L2 = Range(1e-6, 1e-3, log=True)  # the zoo's are 4e-5 and 4e-4
AVERAGING = Range(
    0.01, 0.2, log=True
)  # time constant of the moving average, as a fraction of the trial's steps

# optimizers whose learning rate scales with the batch size (Goyal et al. 2017, "linear scaling rule"); Adam's does not
SCALED_WITH_BATCH = ("momentum", "rms_prop")


def suggest(
    trial: Trial, detector: str, rates: Mapping[str, Range], steps: int
) -> tuple[dict[str, Any], float]:
    """Recipe fields `optimizer`, `gradient_clip`, `l2` and `averaging`; and the peak learning rate of the schedule.

    rates: optimizer -> range of its learning rate. steps: gradient steps of the trial.
    """
    kind = choose(trial, "optimizer", tuple(rates))
    # good rates differ between detectors and optimizers, so each combination is a parameter of its own
    rate = rates[kind].suggest(trial, rate_name(detector, kind))
    optimizer = {name: values.suggest(trial, f"{kind}.{name}") for name, values in OPTIMIZERS[kind].items()}
    fields: dict[str, Any] = {"optimizer": {"kind": kind} | optimizer}
    if switch(trial, "gradient_clip"):
        fields["gradient_clip"] = GRADIENT_CLIP.suggest(trial, "gradient_clip.norm")
    if switch(trial, "l2"):
        fields["l2"] = L2.suggest(trial, "l2.weight")
    if switch(trial, "averaging"):
        memory = AVERAGING.suggest(trial, "averaging.memory")
        fields["averaging"] = significant(1 - 1 / max(2.0, memory * steps))
    return fields, rate


def express(fields: Mapping[str, Any], detector: str, rate: float, steps: int) -> dict[str, Any]:
    """The inverse of `suggest`: the parameters for a Recipe's `fields` with learning rate `rate`."""
    optimizer = dict(fields["optimizer"])
    kind = optimizer.pop("kind")
    params = {"optimizer": kind, rate_name(detector, kind): rate}
    params |= {f"{kind}.{name}": value for name, value in optimizer.items()}
    for switched, parameter in (("gradient_clip", "norm"), ("l2", "weight")):
        if (value := fields.get(switched)) is not None:
            params |= {switched: True, f"{switched}.{parameter}": value}
    if (decay := fields.get("averaging")) is not None:
        params |= {"averaging": True, "averaging.memory": significant(1 / (1 - decay) / steps)}
    return params


def rate_name(detector: str, optimizer: str) -> str:
    """The name of the learning-rate parameter of this detector with this optimizer."""
    return f"{detector}.{optimizer}.learning_rate"
