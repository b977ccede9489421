"""Fine-tuning: how the backbone of a trained detector is trained on: at a lower rate, later, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.parts.parameters import Range, Trial, choose, switch

# trained from the first step; frozen for a part of the steps; frozen for good
TRAINED, THAWED, FROZEN = BACKBONES = ("trained", "thawed", "frozen")
BACKBONE_RATE = Range(0.03, 1.0, log=True)  # of the other variables' rate
BACKBONE_FROZEN = Range(0.05, 0.6)  # fraction of the steps


def suggest(trial: Trial, batch_norm: bool) -> dict[str, Any]:
    """Recipe fields `backbone_rate` and `backbone_frozen`.

    batch_norm: whether to choose `freeze_batch_norm` too, with which a trial has a graph of its own.
    """
    fields: dict[str, Any] = {}
    kind = choose(trial, "backbone_training", BACKBONES)
    if kind == FROZEN:
        fields["backbone_rate"] = 0.0
    else:
        fields["backbone_rate"] = BACKBONE_RATE.suggest(trial, "backbone_training.rate")
    if kind == THAWED:
        fields["backbone_frozen"] = BACKBONE_FROZEN.suggest(trial, "backbone_training.frozen")
    if batch_norm:
        fields["freeze_batch_norm"] = switch(trial, "freeze_batch_norm")
    return fields


def express(fields: Mapping[str, Any], batch_norm: bool) -> tuple[dict[str, Any], list[str]]:
    """The inverse of `suggest`: the parameters for a Recipe's `fields`, and what cannot be chosen."""
    rate, frozen = fields["backbone_rate"], fields["backbone_frozen"]
    params: dict[str, Any] = {"backbone_training": FROZEN if rate == 0 else THAWED if frozen else TRAINED}
    if rate:
        params["backbone_training.rate"] = rate
    if rate and frozen:
        params["backbone_training.frozen"] = frozen
    if batch_norm:
        params["freeze_batch_norm"] = fields["freeze_batch_norm"]
    left_out = fields["freeze_batch_norm"] and not batch_norm
    return params, ["without freeze_batch_norm"] if left_out else []
