"""Pyramid: the adapter of detectors that are put together from parts, on the API's SSD meta-architecture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.object_detection_api.architectures.ssd import SSD
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.object_detection_api.pyramid.structure import parse


class Pyramid(SSD):
    """The adapter for a `DetectionModel.ssd` whose feature extractor's type is the text of a Structure."""

    def build(self, config: Any) -> Any:
        """The API's SSDMetaArch with the structure's feature extractor and losses, in training mode."""
        import functools

        from object_detection.builders import model_builder

        from trainers.object_detection_api.pyramid.extractor import PyramidExtractor
        from trainers.object_detection_api.pyramid.heads import HEADS
        from trainers.object_detection_api.pyramid.heads.losses.by_iou import L1

        text = config.ssd.feature_extractor.type
        structure = parse(text)
        known = model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP
        known[text] = functools.partial(PyramidExtractor, structure)
        model = model_builder.build(config, is_training=True, add_summaries=False)
        if structure.box_loss == "l1":
            model._localization_loss = L1()
        model.loss = _Loss(model, HEADS[structure.head].loss)
        return model

    def load_backbone(self, model: Any, file: Path) -> None:
        """Set the backbone's variables from an HDF5 file of tf_keras. Raises UserError if it is of another one."""
        from trainers.object_detection_api.pyramid.backbones.networks import published

        extractor = model._feature_extractor
        published.load(extractor.classification_backbone, BACKBONES[extractor.backbone_name].settings, file)

    def rate_factors(self, model: Any, variables: Sequence[Any], recipe: Any, step: int) -> list[float]:
        """layer_decay ** (layers + 1 - depth) for the backbone's variables, on top of what all detectors have."""
        backbone = BACKBONES[recipe.backbone]
        inside = {id(variable) for variable in self.backbone(model)}
        factors = super().rate_factors(model, variables, recipe, step)
        for place, variable in enumerate(variables):
            if id(variable) in inside:
                depth = backbone.depth(variable.name.removeprefix("backbone/"))
                factors[place] *= recipe.layer_decay ** (backbone.layers + 1 - depth)
        return factors

    def train_sizes(self, recipe: Any) -> Sequence[int]:
        """Those of the recipe, or its image size."""
        return recipe.train_sizes or (recipe.image_size,)

    def begin_step(self, model: Any, recipe: Any, step: int) -> int:
        """Set the branches that drop path drops, and draw a size; both follow from the recipe's seed and the step."""
        model._feature_extractor.drop_path.start_step(recipe.drop_path, recipe.seed, step)
        sizes = self.train_sizes(recipe)
        return int(sizes[int(np.random.default_rng([recipe.seed, step]).integers(len(sizes)))])


class _Loss:
    """A head's loss in place of the model's own; called as that is."""

    def __init__(self, model: Any, losses: Any) -> None:
        self._model, self._losses = model, losses

    def __call__(self, predictions: Any, true_image_shapes: Any) -> Any:
        return self._losses(self._model, predictions)
