"""Neck: the description of what makes a pyramid of feature maps of a backbone's. No TensorFlow."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Neck:
    """The description of a neck.

    name: the word for it in recipes. title: the name under which it was published.
    network: "module:class" of a tf_keras Model, created with a Structure and the Layers that make its convolutions;
        called with [C3, C4, C5] it returns as many feature maps as the structure has levels, each half the size of the
        one before, P3 first.
    fewest_levels: that it can make.
    pathway_cost: seconds that each of its pathways adds to a gradient step, relative to a step with resnet50 and FPN.
    pathway_parameters: number of scalars of each of them, with 256 channels.
    """

    name: str
    title: str
    network: str
    fewest_levels: int = 3
    pathway_cost: float = 0.0
    pathway_parameters: int = 0

    def build(self, structure: Any, layers: Any) -> Any:
        """The tf_keras Model."""
        module, _, name = self.network.partition(":")
        return getattr(importlib.import_module(module), name)(structure, layers)
