"""Stochastic depth (Huang et al. 2016, arXiv 1603.09382): residual branches are dropped at random, image by image."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from trainers.keras_training.replicas import uniform_by_image
from trainers.object_detection_api.dropping import drops


class DropPathState:
    """What the DropPath layers of one network share; variables, so that a change needs no new trace.

    rate: probability with which the last branch is dropped. seed: (2,) int64, of the random numbers of one step. Both
    are outside Keras' tracking, because they belong to a recipe and not to a checkpoint.
    """

    def __init__(self) -> None:
        self.rate = tf.Variable(0.0, trainable=False, name="drop_path_rate")
        self.seed = tf.Variable(tf.zeros([2], tf.int64), trainable=False, name="drop_path_seed")
        self.layers = 0

    def start_step(self, rate: float, seed: int, step: int) -> None:
        """Set what the next step draws; the same arguments draw the same branches in any process."""
        if self.layers:
            self.rate.assign(rate)
            self.seed.assign([seed, step])


class DropPath(tf_keras.layers.Layer):
    """In training, sets whole images of its input (B, ...) to 0 at random, and scales the others to keep the mean.

    share: of the state's rate, which rises linearly from 0 at the first branch to 1 at the last.
    """

    def __init__(self, state: DropPathState, share: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hidden = (lambda: state,)  # not tracked
        self._share, self._index = share, state.layers
        state.layers += 1

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """(B, ...) -> (B, ...)."""
        if not (training and drops()):
            return inputs
        state = self._hidden[0]()
        keep = 1.0 - self._share * state.rate
        shape = tf.concat([tf.shape(inputs)[:1], tf.ones([inputs.shape.rank - 1], tf.int32)], 0)
        drawn = uniform_by_image(shape, state.seed + tf.constant([self._index, 0], tf.int64))
        kept = tf.cast(tf.floor(keep + drawn) / keep, inputs.dtype)
        return inputs * kept
