"""Builds a detection model with all its variables, and initializes them from a seed.

Every trial, the first of a process and later ones on the same model, initializes each variable from the seed
(initial_values.py), so all start from the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras
from object_detection.utils import ops
from tf_keras.src import backend
from tf_keras.src.layers.normalization.batch_normalization import BatchNormalizationBase

from trainers.keras_training.variables import set_all, values_of
from trainers.object_detection_api import architectures, dropping
from trainers.object_detection_api.initial_values import draw_of


class DetectionModel:
    """A built detection model of the API.

    architecture: the adapter of its meta-architecture.
    model: the API's DetectionModel (`predict`, `loss`, `postprocess`, `preprocess`, ...).
    image_size: side of its square input, pixels.
    """

    def __init__(
        self,
        model_config: Any,
        image_size: int,
        precision: str = "float32",
        batch_norm_decay: float | None = None,
        flip_test: bool = False,
    ) -> None:
        """Build the model. model_config: a `model_pb2.DetectionModel`.

        precision, batch_norm_decay, flip_test: as in DetectorRecipe; None for the decay that the API sets.
        """
        self.image_size = image_size
        self._flip_test = flip_test
        self.architecture = architectures.of(model_config)
        self._initial: list[tuple[tf.Variable, Callable[[tf.Tensor], tf.Tensor]]] = []
        self._initialize_all: Callable[[tf.Tensor], Any] = self._initialize
        self._initial_values: tuple[int, list[tf.Tensor]] | None = None
        with (
            tf.variable_creator_scope(self._remember_initializer),
            learning_phase(False),
            _arithmetic(precision),
        ):
            self.model = self.architecture.build(model_config)
            shape = [1, image_size, image_size, 3]
            self.predict(tf.zeros(shape), tf.constant([shape[1:]]))  # creates the variables
        dropping.make_seeded(self.model)
        if batch_norm_decay is not None:
            self._set_batch_norm_decay(batch_norm_decay)
        self._regularizers = self._configured_regularizers(self.architecture.l2(model_config))

    def predict(
        self, images: tf.Tensor, true_image_shapes: tf.Tensor, training: bool = False
    ) -> dict[str, Any]:
        """The model's own `predict`, with all outputs cast to float32. training: as Architecture.mode takes it.

        With flip_test, and unless it is training, the predictions for the mirror images count as much.
        """
        found = self._predict(images, true_image_shapes, training)
        if training or not self._flip_test:
            return found
        mirrored = self._predict(tf.reverse(images, [2]), true_image_shapes, training)
        return found | dict(self.architecture.mean_with_mirrored(found, mirrored))

    def _predict(self, images: tf.Tensor, true_image_shapes: tf.Tensor, training: bool) -> dict[str, Any]:
        with self.architecture.mode(self.model, training):
            found: dict[str, Any] = self.model.predict(images, true_image_shapes)
        return ops.bfloat16_to_float32_nested(found)  # type: ignore[no-any-return]

    def postprocess(self, predictions: Mapping[str, Any], true_image_shapes: tf.Tensor) -> dict[str, Any]:
        """The API's detections of predictions made as in inference, boxes normalised to the padded input."""
        with self.architecture.mode(self.model, training=False):
            found: dict[str, Any] = self.architecture.postprocess(
                self.model, predictions, true_image_shapes, self.image_size
            )
        return found

    def embedding(self, predictions: Mapping[str, Any]) -> tf.Tensor:
        """(B, F) float32: the mean of each channel of the feature maps that the predictions are made from."""
        maps = self.architecture.feature_maps(predictions)
        return tf.concat([tf.reduce_mean(tf.cast(each, tf.float32), [1, 2]) for each in maps], axis=1)

    def regularization_loss(self, weight: tf.Tensor) -> tf.Tensor:
        """The sum of the model's L2 losses, as if its configuration stated this L2 weight.

        The weight of a backbone that sets its own, such as EfficientNet's 5e-6, stays, as it does in the API.
        """
        before = [regularizer.l2 for regularizer in self._regularizers]
        try:
            for regularizer in self._regularizers:
                regularizer.l2 = weight / 2  # the API halves it for Keras
            return tf.add_n(self.model.regularization_losses())
        finally:
            for regularizer, value in zip(self._regularizers, before, strict=True):
                regularizer.l2 = value

    def _configured_regularizers(self, weight: float) -> list[Any]:
        """The regularizers of the layers that have the weight of the configuration."""
        found = {}
        for layer in self.architecture.regularized(self.model):
            for name in ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer"):
                regularizer = getattr(layer, name, None)
                if regularizer is not None and math.isclose(regularizer.l2, weight / 2, rel_tol=1e-5):
                    found[id(regularizer)] = regularizer
        return list(found.values())

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, including batch normalisation's moving statistics."""
        return list(self.model.variables)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """The trainable variables."""
        return list(self.model.trainable_variables)

    @property
    def batch_norm_layers(self) -> list[Any]:
        """The layers whose statistics training updates: without frozen layers, and those that the API never calls."""
        layers = [layer for layer in self.model.submodules if isinstance(layer, BatchNormalizationBase)]
        moving = [
            layer for layer in layers if getattr(layer, "_training", None) is not False
        ]  # FreezableBatchNorm's
        return [layer for layer in moving if layer.built and layer.trainable]

    def initialize(self, seed: int) -> None:
        """Initialize every variable; the same seed gives the same values in any process.

        The last initial values are cached, because all trials of a search have the same seed, and 34 million values
        take longer to generate than to copy.
        """
        if self._initial_values is not None and self._initial_values[0] == seed:
            set_all([variable for variable, _ in self._initial], self._initial_values[1])
            return
        self._initialize_all(tf.constant(seed, tf.int64))
        self._initial_values = seed, values_of(variable for variable, _ in self._initial)

    def trace(self) -> None:
        """Trace the initialization: takes a second, and makes every later `initialize` faster."""
        draw = tf.function(
            self._initialize_all, autograph=False, input_signature=[tf.TensorSpec([], tf.int64)]
        )
        self._initialize_all = draw.get_concrete_function()

    def _initialize(self, seed: tf.Tensor) -> None:
        for index, (variable, draw) in enumerate(self._initial):
            variable.assign(draw(tf.stack([seed, tf.constant(index, tf.int64)])))

    def _set_batch_norm_decay(self, decay: float) -> None:
        """The API sets it for all layers except those of an EfficientNet backbone, which would keep .99."""
        for layer in self.batch_norm_layers:
            layer.momentum = decay

    def _remember_initializer(self, create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        variable = create(**kwargs)
        # Keras passes partial(initializer, shape) for weights, and plain values for counters and the like
        call = getattr(kwargs["initial_value"], "func", None)
        if call is not None:
            self._initial.append((variable, draw_of(getattr(call, "__self__", call), variable)))
        return variable


@contextmanager
def _arithmetic(precision: str) -> Iterator[None]:
    """A context in which new Keras layers compute in that precision, with float32 variables."""
    before = tf_keras.mixed_precision.global_policy()
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


@contextmanager
def learning_phase(training: bool) -> Iterator[None]:
    """A context that sets Keras' learning phase; the API itself passes no `training` argument to layers."""
    with backend.deprecated_internal_learning_phase_scope(int(training)):
        yield
