"""Head: the description of how predictions are compared with the labelled objects in training. No TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Head:
    """The description of a head. All have the same layers: the assignment and the loss differ.

    name: the word for it in recipes. title: the name under which it was published.
    losses: "module:callable" from the API's SSDMetaArch, which knows the labelled objects, and its predictions to the
        two parts of the loss by their keys in the API.
    own_box_loss: whether the recipe's `box_loss` does not matter to it.
    """

    name: str
    title: str
    losses: str
    own_box_loss: bool = False

    @property
    def loss(self) -> Callable[[Any, Any], dict[str, Any]]:
        """The function `losses`."""
        module, _, name = self.losses.partition(":")
        found: Callable[[Any, Any], dict[str, Any]] = getattr(importlib.import_module(module), name)
        return found
