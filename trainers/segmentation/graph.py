"""Graph: the traced functions of one network (gradients, prediction), built once and shared by many recipes.

What may differ between these recipes (rate, loss, class weights, L2, clipping, augmentations, batch size, seed) is an
argument or a variable, or belongs to the batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from trainers.keras_training.batch_norm.statistics import Statistics
from trainers.keras_training.training_state import TrainingState
from trainers.keras_training.variables import set_all, values_of
from trainers.segmentation.losses import LossSettings, losses

LEAST_PROBABILITY = 1e-30  # whose logarithm is finite


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Within the block, tf_keras draws by `seed`; the random numbers of the process go on afterwards as before it."""
    python, numpy = random.getstate(), np.random.get_state()
    tf_keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        tf.random.set_seed(None)


class Graph(TrainingState):
    """The graph of one network at one image size.

    build: makes the tf_keras model with fresh variables. flip_test: see SegmentationRecipe.
    """

    def __init__(self, build: Callable[[], Any], image_size: int, flip_test: bool = False) -> None:
        self._build = build
        self.image_size = image_size
        self._flip_test = flip_test
        self.model = build()
        super().__init__(self.model, self.model.trainable_variables)
        self._kernels = [v for v in self._trainable if "kernel" in v.name]
        self._initial: tuple[int, list[Any]] | None = None
        layers = [each for each in self.model.layers if isinstance(each, tf_keras.layers.BatchNormalization)]
        self.statistics = Statistics(layers, self._forward)

    def initialize(self, seed: int) -> None:
        """Give every variable its initial value; the same seed gives the same values in any process."""
        if self._initial is None or self._initial[0] != seed:
            with _seeded(seed):
                self._initial = (seed, values_of(self._build().variables))
        set_all(self.model.variables, self._initial[1])

    def gradients(
        self, images: np.ndarray, masks: np.ndarray, settings: LossSettings
    ) -> tuple[dict[str, Any], Any]:
        """Loss parts and the gradients of `total`, in training mode (updates batch normalisation's averages)."""
        parts, gradients = self._gradients(tf.constant(images), tf.constant(masks), *settings.tensors())
        return parts, gradients

    def evaluate(
        self, images: np.ndarray, masks: np.ndarray, settings: LossSettings
    ) -> tuple[dict[str, Any], Any]:
        """Loss parts and logits (N, S, S, C) float32, in inference mode."""
        parts, logits = self._evaluate(tf.constant(images), tf.constant(masks), *settings.tensors())
        return parts, logits

    def predict(self, images: Any) -> Any:
        """(N, S, S, 3) uint8 -> logits (N, S, S, C) float32 in inference mode, as evaluated and exported."""
        given = tf.cast(images, tf.float32)
        if not self._flip_test:
            return self.model(given, training=False)
        both = tf.nn.softmax(self.model(tf.concat([given, tf.reverse(given, [2])], axis=0), training=False))
        plain, mirrored = tf.split(both, 2)
        mean = (plain + tf.reverse(mirrored, [2])) / 2
        return tf.math.log(tf.maximum(mean, LEAST_PROBABILITY))

    def wait_for_tracing(self) -> None:
        """Nothing is traced in the background."""

    @tf.function(autograph=False, reduce_retracing=True)
    def _gradients(self, images: Any, masks: Any, *settings: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self.model(tf.cast(images, tf.float32), training=True)
            parts = self._total(losses(logits, masks, LossSettings(*settings)), settings[-1])
        return parts, tape.gradient(parts["total"], self._trainable)

    @tf.function(autograph=False, reduce_retracing=True)
    def _evaluate(self, images: Any, masks: Any, *settings: Any) -> Any:
        logits = self.predict(images)
        return self._total(losses(logits, masks, LossSettings(*settings)), settings[-1]), logits

    def _total(self, parts: dict[str, Any], l2: Any) -> dict[str, Any]:
        regularization = l2 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in self._kernels])
        total = parts.pop("data") + regularization
        return {**parts, "regularization": regularization, "total": total}

    def _forward(self, images: Any) -> None:
        self.model(tf.cast(images, tf.float32), training=True)


@tf.function(autograph=False, reduce_retracing=True)
def _squared(images: Any, side: Any) -> Any:
    resized = tf.image.resize(tf.cast(images, tf.float32), [side, side])
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def squared(images: Any, side: Any) -> Any:
    """(N, H, W, 3) uint8 -> (N, side, side, 3) uint8: bilinear, both sides stretched; the same as resizing.square."""
    return _squared(images, side)


@tf.function(autograph=False, reduce_retracing=True)
def masks_of(logits: Any, height: Any, width: Any) -> Any:
    """(N, S, S, C) logits -> (N, height, width) uint8 class indices: logits bilinearly resized, then the largest."""
    resized = tf.image.resize(logits, tf.stack([height, width]))
    return tf.cast(tf.argmax(resized, axis=-1), tf.uint8)
