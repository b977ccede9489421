"""The part of every space that says how the weights move: optimizer, rate, clipping, weight decay, averaging.

The rate's range belongs to a detector (the module of its space); the optimizers' own parameters do
not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.parts.parameters import Range, Trial, choose, significant, switch

# optimizer's parameter -> values; 1e-8, .9, .9 and 1 are the API's defaults
OPTIMIZERS: dict[str, dict[str, Range]] = {
    "adam": {"epsilon": Range(1e-8, 1e-4, log=True)},
    "momentum": {"momentum": Range(0.8, 0.97)},
    # an epsilon near 1 makes RMSProp's step proportional to the gradient, and its rate one of momentum's
    # kind; much smaller ones would need a range of rates of their own
    "rms_prop": {
        "momentum": Range(0.8, 0.95),
        "decay": Range(0.85, 0.99),
        "epsilon": Range(0.1, 1.0, log=True),
    },
}
GRADIENT_CLIP = Range(1.0, 20.0, log=True)  # global norm
L2 = Range(1e-6, 1e-3, log=True)  # the zoo's are 4e-5 and 4e-4
AVERAGING = Range(0.01, 0.2, log=True)  # what the average remembers, as a fraction of the trial's steps

# whose rate grows with the batch (Goyal et al. 2017, "linear scaling rule"); Adam's does not depend on it so
SCALED_WITH_BATCH = ("momentum", "rms_prop")


def suggest(
    trial: Trial, detector: str, rates: Mapping[str, Range], steps: int
) -> tuple[dict[str, Any], float]:
    """Recipe fields `optimizer`, `gradient_clip`, `l2`, `averaging`; and the schedule's highest rate."""
    kind = choose(trial, "optimizer", tuple(rates))
    # a rate means something else for each detector and optimizer, so it has a name of its own
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
    """The parameters that `suggest` would need to say `fields` (of a Recipe): its inverse."""
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
    """The parameter that holds the learning rate of this detector under this optimizer."""
    return f"{detector}.{optimizer}.learning_rate"
