"""Usual: what most meta-architectures have in common, as defaults of Architecture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trainers.errors import UserError


class Usual:
    """One training size, nothing drawn by the model, and published checkpoints of whole detectors."""

    def build(self, config: Any) -> Any:
        """What the API builds, in training mode."""
        from object_detection.builders import model_builder

        return model_builder.build(config, is_training=True, add_summaries=False)

    def load_backbone(self, model: Any, file: Path) -> None:
        """Not for these: their published weights are checkpoints of whole detectors."""
        raise UserError(f"{file}: is no TensorFlow checkpoint; give the folder or the prefix of one")

    def backbone(self, model: Any) -> Iterable[Any]:
        """The variables of the feature extractor's classification network."""
        return model._feature_extractor.classification_backbone.variables  # type: ignore[no-any-return]

    def background_outputs(self, model: Any) -> int:
        """One."""
        return 1

    def rate_factors(self, model: Any, variables: Sequence[Any], recipe: Any, step: int) -> list[float]:
        """The recipe's factor for the backbone's variables, 0 while it is frozen; 1 for all others."""
        inside = {id(variable) for variable in self.backbone(model)}
        factor = recipe.backbone_rate if step >= recipe.thaws_at else 0.0
        return [factor if id(variable) in inside else 1.0 for variable in variables]

    def train_sizes(self, recipe: Any) -> Sequence[int]:
        """The recipe's image size alone."""
        return (recipe.image_size,)

    def begin_step(self, model: Any, recipe: Any, step: int) -> int:
        """The recipe's image size; nothing is drawn at random."""
        return int(recipe.image_size)
