"""The weights of the parts of a recipe's loss. A graph takes them as arguments, so that recipes with others share it."""

from __future__ import annotations

import tensorflow as tf

from trainers.object_detection_api import architectures, pipeline_config
from trainers.object_detection_api.detector import DetectorRecipe
from trainers.object_detection_api.graph import LossWeights


def loss_weights_of(recipe: DetectorRecipe, classes: int) -> LossWeights:
    """The factors of the recipe's loss parts, and "regularization", its L2 weight or the published one."""
    model = pipeline_config.model_proto(recipe, classes)
    architecture = architectures.of(model)
    weights = architecture.loss_weights(recipe) | {"regularization": architecture.l2(model)}
    return {part: tf.constant(weight) for part, weight in weights.items()}
