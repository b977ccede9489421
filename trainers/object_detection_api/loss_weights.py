"""The weights of the parts of a recipe's loss. A graph takes them as arguments, so that recipes with others share it."""

from __future__ import annotations

import tensorflow as tf

from trainers.object_detection_api import architectures, pipeline_config
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.graph import LossWeights


def loss_weights_of(recipe: DetectorRecipe, classes: int) -> LossWeights:
    """The weights of classification and localization, and the factor of the regularization that the graph has."""
    plain = recipe.replace(l2=None)
    assert isinstance(plain, DetectorRecipe)
    model = pipeline_config.model_proto(plain, classes)
    own = architectures.of(model).l2(model)
    factor = 1.0 if recipe.l2 is None else recipe.l2 / own
    return LossWeights(*map(tf.constant, (recipe.classification_weight, recipe.localization_weight, factor)))
