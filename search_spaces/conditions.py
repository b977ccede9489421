"""Conditions: what a person fixes before a search, and a space therefore leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from trainers.errors import UserError
from trainers.recipe import InitialWeights, Precision

Preset = Literal["laptop", "zoo"]
PRESETS: tuple[str, ...] = get_args(Preset)
PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class Conditions:
    """What holds for every trial of a search.

    steps: each trial's full budget of gradient steps.
    preset: "laptop" (small images, from scratch, one graph for all trials) or "zoo" (640 px, COCO weights).
    image_size: pixels; None for the preset's, by detector.
    batch_size: images a step; None for the preset's: laptop has one, zoo a choice of them.
    weights: where the variables start; None for the preset's: laptop none, zoo the published checkpoint. From
        scratch and from a checkpoint need different learning rates, so a space's ranges depend on it.
    precision: of every trial (trainers.recipe.Recipe).
    seed: of every trial; the trials then differ by their settings alone.
    """

    steps: int
    preset: Preset = "laptop"
    image_size: int | None = None
    batch_size: int | None = None
    weights: InitialWeights | None = None
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UserError(f"unknown preset '{self.preset}'; known are {', '.join(PRESETS)}")

    @property
    def from_scratch(self) -> bool:
        """Whether the variables start at random."""
        return self.preset == "laptop" if self.weights is None else self.weights.source == "none"
