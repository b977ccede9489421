"""Learning-rate schedules, in fractions of a trial's steps, so that they mean the same at any budget.

Each uses the formula of the same name in the Object Detection API (`utils/learning_schedules.py`), but is computed
outside the graph; a test compares the two step by step.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class _Schedule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(_Schedule):
    """`base` at every step."""

    kind: Literal["constant"] = "constant"
    base: Rate

    def rate(self, step: int, steps: int) -> float:
        """Learning rate at `step` (from 0) of `steps`."""
        return self.base


class Cosine(_Schedule):
    """Linear from `warmup_rate` to `base` during `warmup`, constant during `hold`, then half a cosine to 0.

    warmup, hold: fractions of the steps.
    """

    kind: Literal["cosine"] = "cosine"
    base: Rate
    warmup_rate: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    warmup: Fraction = 0.0
    hold: Fraction = 0.0

    @model_validator(mode="after")
    def _warmup_leads_to_base(self) -> Cosine:
        if self.warmup_rate > self.base:
            raise ValueError(f"warmup_rate {self.warmup_rate:g} must not exceed base {self.base:g}")
        if self.warmup + self.hold >= 1:
            raise ValueError(f"warmup {self.warmup:g} + hold {self.hold:g} must be below 1, to leave a decay")
        return self

    def rate(self, step: int, steps: int) -> float:
        """Learning rate at `step` (from 0) of `steps`."""
        warmup, hold = round(self.warmup * steps), round(self.hold * steps)
        if step < warmup:
            return self.warmup_rate + (self.base - self.warmup_rate) / warmup * step
        if step < warmup + hold:
            return self.base
        if step > steps:
            return 0.0
        # rounding may leave no step for the decay
        decay = max(1, steps - warmup - hold)
        return 0.5 * self.base * (1 + math.cos(math.pi * (step - warmup - hold) / decay))


class Drop(_Schedule):
    """From the fraction `at` of the steps on, the learning rate is `factor` times the schedule's base."""

    at: float = Field(gt=0, lt=1)
    factor: float = Field(gt=0, allow_inf_nan=False)


class ManualStep(_Schedule):
    """`base`, then the rate of each drop; with `warmup`, linear from 0 to the first drop's rate at its step.

    A first drop with factor 1 therefore ends the warm-up at `base`.
    """

    kind: Literal["manual_step"] = "manual_step"
    base: Rate
    drops: tuple[Drop, ...] = Field(min_length=1)
    warmup: bool = False

    @model_validator(mode="after")
    def _drops_in_order(self) -> ManualStep:
        places = [drop.at for drop in self.drops]
        if any(later <= earlier for earlier, later in itertools.pairwise(places)):
            raise ValueError(f"drops must come in rising order, not at {places}")
        return self

    def rate(self, step: int, steps: int) -> float:
        """Learning rate at `step` (from 0) of `steps`."""
        places = self.places(steps)
        if self.warmup and step < places[0]:
            return self.base * self.drops[0].factor * step / places[0]
        rate = self.base
        for place, drop in zip(places, self.drops, strict=True):
            if step >= place:
                rate = self.base * drop.factor
        return rate

    def places(self, steps: int) -> list[int]:
        """The step of each drop: strictly rising from at least 1, as the API requires, even if `steps` are too few."""
        places: list[int] = []
        for drop in self.drops:
            places.append(max(round(drop.at * steps), places[-1] + 1 if places else 1))
        return places


class Exponential(_Schedule):
    """`base` times `factor` for each fraction `every` of the steps: stepwise with `staircase`, else smoothly.

    During the fraction `burnin`, the rate is `burnin_rate` (0 means `base`). It is never below `min_rate`.
    """

    kind: Literal["exponential"] = "exponential"
    base: Rate
    every: float = Field(gt=0, le=1)
    factor: float = Field(gt=0, lt=1)
    staircase: bool = True
    burnin: Fraction = 0.0
    burnin_rate: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    min_rate: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _floor_below_base(self) -> Exponential:
        if self.min_rate > self.base:
            raise ValueError(f"min_rate {self.min_rate:g} must not exceed base {self.base:g}")
        return self

    def rate(self, step: int, steps: int) -> float:
        """Learning rate at `step` (from 0) of `steps`."""
        burnin, every = round(self.burnin * steps), max(1, round(self.every * steps))
        if step < burnin:
            return max(self.burnin_rate or self.base, self.min_rate)
        turns = (step - burnin) / every
        return max(
            self.base * math.pow(self.factor, math.floor(turns) if self.staircase else turns), self.min_rate
        )


Schedule = Annotated[Constant | Cosine | ManualStep | Exponential, Field(discriminator="kind")]
