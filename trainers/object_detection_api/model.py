"""Builds a detection model with all its variables, and sets them afresh from a seed.

The first trial of a process and a later one on the same model start from the same values: both draw each variable
anew from the initializer that the model's builder gave it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras
from object_detection.builders import model_builder
from object_detection.utils import ops
from tf_keras.src import backend
from tf_keras.src.layers.normalization.batch_normalization import BatchNormalizationBase

from trainers.object_detection_api import architectures
from trainers.object_detection_api.checkpoints.variables import set_all, values_of


class DetectionModel:
    """An API detection model whose variables exist.

    architecture: the adapter for its meta-architecture.
    model: the API's DetectionModel (`predict`, `loss`, `postprocess`, `preprocess`, ...).
    image_size: pixels, the side of its square input.
    """

    def __init__(self, model_config: Any, image_size: int, precision: str = "float32") -> None:
        """Build from a `model_pb2.DetectionModel`. precision: as a Recipe's."""
        self.image_size = image_size
        self._initial: list[tuple[tf.Variable, Callable[[tf.Tensor], tf.Tensor]]] = []
        self._draw_all: Callable[[tf.Tensor], Any] = self._draw
        self._drawn: tuple[int, list[tf.Tensor]] | None = None
        with (
            tf.variable_creator_scope(self._remember_initializer),
            learning_phase(False),
            _arithmetic(precision),
        ):
            self.model = model_builder.build(model_config, is_training=True, add_summaries=False)
            shape = [1, image_size, image_size, 3]
            self.model.predict(tf.zeros(shape), tf.constant([shape[1:]]))  # creates the variables
        self.architecture = architectures.of(model_config)
        self._set_batch_norm_decay(self.architecture.batch_norm_decay(model_config))

    def predict(self, images: tf.Tensor, true_image_shapes: tf.Tensor) -> dict[str, Any]:
        """The model's own `predict`; all that it returns is float32, whatever the network's precision."""
        found: dict[str, Any] = ops.bfloat16_to_float32_nested(self.model.predict(images, true_image_shapes))
        return found

    @property
    def variables(self) -> list[tf.Variable]:
        """All of the model's variables, the moving statistics of batch normalisation too."""
        return list(self.model.variables)

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """What gradients are taken of."""
        return list(self.model.trainable_variables)

    @property
    def batch_norm_layers(self) -> list[Any]:
        """Those that a step of training moves: not the frozen ones, and not what the API makes and does not call."""
        layers = [layer for layer in self.model.submodules if isinstance(layer, BatchNormalizationBase)]
        return [layer for layer in layers if layer.built and layer.trainable]

    def initialize(self, seed: int) -> None:
        """Draw every variable anew; the same seed gives the same values in any process.

        What was drawn last is kept, for the trials of a search have one seed: 34 million values take
        longer to draw than to copy.
        """
        if self._drawn is not None and self._drawn[0] == seed:
            set_all([variable for variable, _ in self._initial], self._drawn[1])
            return
        self._draw_all(tf.constant(seed, tf.int64))
        self._drawn = seed, values_of(variable for variable, _ in self._initial)

    def trace(self) -> None:
        """Make every later `initialize` cheaper; takes a second."""
        draw = tf.function(self._draw_all, autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])
        self._draw_all = draw.get_concrete_function()

    def _draw(self, seed: tf.Tensor) -> None:
        for index, (variable, draw) in enumerate(self._initial):
            variable.assign(draw(tf.stack([seed, tf.constant(index, tf.int64)])))

    def _set_batch_norm_decay(self, decay: float) -> None:
        """The API hands it to every layer but those of an EfficientNet backbone, which keep .99."""
        for layer in self.batch_norm_layers:
            layer.momentum = decay

    def _remember_initializer(self, create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        variable = create(**kwargs)
        # Keras gives partial(initializer, shape); counters and the like come with a plain value and are no weights
        call = getattr(kwargs["initial_value"], "func", None)
        if call is not None:
            self._initial.append((variable, _seeded_draw(getattr(call, "__self__", call), variable)))
        return variable


_v1 = tf.compat.v1
_NORMAL = (_v1.random_normal_initializer, tf_keras.initializers.RandomNormal)
_TRUNCATED_NORMAL = (_v1.truncated_normal_initializer, tf_keras.initializers.TruncatedNormal)
_CONSTANT = (
    _v1.constant_initializer,
    _v1.zeros_initializer,
    _v1.ones_initializer,
    tf_keras.initializers.Zeros,
    tf_keras.initializers.Ones,
    tf_keras.initializers.Constant,
)


def _seeded_draw(initializer: Any, variable: tf.Variable) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of an int64 seed (2,) that draws `variable`'s first value as its initializer would."""
    shape, dtype = variable.shape, variable.dtype
    if isinstance(initializer, _TRUNCATED_NORMAL):
        mean, stddev = initializer.mean, initializer.stddev
        return lambda seed: tf.random.stateless_truncated_normal(shape, seed, mean, stddev, dtype)
    if isinstance(initializer, _NORMAL):
        mean, stddev = initializer.mean, initializer.stddev
        return lambda seed: tf.random.stateless_normal(shape, seed, mean, stddev, dtype)
    if isinstance(initializer, tf_keras.initializers.VarianceScaling):
        return functools.partial(_variance_scaling, initializer, shape, dtype)
    if isinstance(initializer, _CONSTANT):
        value = tf.constant(variable.numpy())
        return lambda seed: value
    raise TypeError(f"{variable.name}: no seeded draw is known for its initializer {initializer!r}")


def _variance_scaling(initializer: Any, shape: tf.TensorShape, dtype: Any, seed: tf.Tensor) -> tf.Tensor:
    """What tf_keras' VarianceScaling draws (He, Glorot and LeCun are cases of it), from a stateless seed."""
    *receptive, fan_in, fan_out = shape.as_list() if shape.rank > 1 else [shape.num_elements()] * 2
    field = 1
    for side in receptive:
        field *= side
    fans = {"fan_in": fan_in * field, "fan_out": fan_out * field, "fan_avg": (fan_in + fan_out) * field / 2}
    variance = initializer.scale / max(1.0, fans[initializer.mode])
    match initializer.distribution:
        case "uniform":
            limit = (3.0 * variance) ** 0.5
            return tf.random.stateless_uniform(shape, seed, -limit, limit, dtype)
        case "untruncated_normal":
            return tf.random.stateless_normal(shape, seed, 0.0, variance**0.5, dtype)
        case _:
            # standard deviation of a normal cut at two of them, as tf_keras has it
            stddev = variance**0.5 / 0.87962566103423978
            return tf.random.stateless_truncated_normal(shape, seed, 0.0, stddev, dtype)


@contextmanager
def _arithmetic(precision: str) -> Iterator[None]:
    """Layers made within it compute in that precision; their variables are float32."""
    before = tf_keras.mixed_precision.global_policy()
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


@contextmanager
def learning_phase(training: bool) -> Iterator[None]:
    """Keras layers called within it behave as in training, or not. The API passes no `training` argument itself."""
    with backend.deprecated_internal_learning_phase_scope(int(training)):
        yield
