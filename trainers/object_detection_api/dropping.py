"""What a model drops at random in training, image by image: the same on several devices, and nothing in an estimate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.keras_training.replicas import uniform_by_image
from trainers.object_detection_api.input_pipeline.seeded_augmentation import next_seed


class _Tracing(threading.local):
    drops = True


_tracing = _Tracing()


@contextmanager
def nothing_dropped() -> Iterator[None]:
    """A context in which a model that this thread traces in training mode has all its branches."""
    before, _tracing.drops = _tracing.drops, False
    try:
        yield
    finally:
        _tracing.drops = before


def drops() -> bool:
    """Whether the model that this thread traces drops anything: not inside `nothing_dropped`."""
    return _tracing.drops


def make_seeded(model: Any) -> None:
    """Let the model's Keras Dropout layers, such as those of EfficientNet's branches, draw from the seed of `seeded`.

    Keras' own numbers depend on earlier steps in the process, so a trial would have other losses each time.
    """
    for layer in model.submodules:
        if isinstance(layer, tf_keras.layers.Dropout):
            object.__setattr__(layer._random_generator, "dropout", _dropout)


@tf.autograph.experimental.do_not_convert
def _dropout(inputs: tf.Tensor, rate: float, noise_shape: tf.Tensor | None = None) -> tf.Tensor:
    """See tf.nn.dropout; to be traced inside `seeded`, or inside `nothing_dropped`."""
    if not drops():
        return tf.identity(inputs)
    shape = tf.shape(inputs) if noise_shape is None else noise_shape
    kept = tf.cast(uniform_by_image(shape, next_seed()) >= rate, inputs.dtype)
    return inputs * kept / (1 - rate)
