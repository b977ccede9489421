"""Usual: what most meta-architectures have in common, as defaults of Architecture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.errors import UserError


class Usual:
    """One learning rate, one training size, nothing drawn by the model, and published checkpoints of whole detectors."""

    per_variable = False

    def build(self, config: Any) -> Any:
        """What the API builds, in training mode."""
        from object_detection.builders import model_builder

        return model_builder.build(config, is_training=True, add_summaries=False)

    def load_backbone(self, model: Any, file: Path) -> None:
        """Not for these: their published weights are checkpoints of whole detectors."""
        raise UserError(f"{file}: is no TensorFlow checkpoint; give the folder or the prefix of one")

    def rate_factors(self, model: Any, variables: Sequence[Any], recipe: Any) -> list[float] | None:
        """None: all variables have one learning rate."""
        return None

    def train_sizes(self, recipe: Any) -> Sequence[int]:
        """The recipe's image size alone."""
        return (recipe.image_size,)

    def begin_step(self, model: Any, recipe: Any, step: int) -> int:
        """The recipe's image size; nothing is drawn at random."""
        return int(recipe.image_size)
