"""The optimizers that a recipe can have: those of the Object Detection API, and AdamW; and their parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Decay = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Optimizer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Momentum(_Optimizer):
    """Stochastic gradient descent with classical momentum."""

    kind: Literal["momentum"] = "momentum"
    momentum: Decay = 0.9


class Adam(_Optimizer):
    """Adam, with the API's fixed beta_1 of .9 and beta_2 of .999."""

    kind: Literal["adam"] = "adam"
    epsilon: Epsilon = 1e-8


class AdamW(_Optimizer):
    """Adam with decoupled weight decay of kernels, not of biases and normalisations (arXiv 1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    epsilon: Epsilon = 1e-8
    weight_decay: float = Field(default=0.05, ge=0, le=1)


class RMSProp(_Optimizer):
    """RMSProp; `decay` is that of the running average, as in the API's proto (called rho in Keras)."""

    kind: Literal["rms_prop"] = "rms_prop"
    momentum: Decay = 0.9
    decay: Decay = 0.9
    epsilon: Epsilon = 1.0


Optimizer = Annotated[Momentum | Adam | AdamW | RMSProp, Field(discriminator="kind")]
