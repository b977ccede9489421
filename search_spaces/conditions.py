"""Conditions: the settings that are the same for every trial of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from search_spaces.parts.restriction import Only
from trainers.errors import UserError
from trainers.recipe import InitialWeights, Precision

Preset = Literal["laptop", "zoo"]
PRESETS: tuple[str, ...] = get_args(Preset)
PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Conditions:
    """The settings that are the same for every trial of a search. Raises UserError for an unknown preset.

    steps: gradient steps of a full-length trial.
    preset: "laptop" (small images, from scratch, one graph for all trials) or "zoo" (640 px, COCO weights).
    image_size: side of the square input, pixels; None for the model's own in this preset.
    batch_size: images per step; None for the preset's: one size with "laptop", a choice of several with "zoo".
    weights: initial weights; None for the preset's: none with "laptop", the published checkpoint with "zoo". Ranges of
        learning rates depend on it.
    precision: arithmetic of the network, "float32" or "bfloat16".
    seed: the random seed of every trial, so that trials differ only in their recipes.
    only: the choices that are left of categorical parameters; of those that are not named, all.
    """

    steps: int
    preset: Preset = "laptop"
    image_size: int | None = None
    batch_size: int | None = None
    weights: InitialWeights | None = None
    precision: Precision = "float32"
    seed: int = 0
    only: Only = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UserError(f"unknown preset '{self.preset}'; known are {', '.join(PRESETS)}")

    @property
    def from_scratch(self) -> bool:
        """Whether the initial weights are random."""
        return self.preset == "laptop" if self.weights is None else self.weights.source == "none"
