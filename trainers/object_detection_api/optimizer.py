"""One optimizer over one model's variables, whose numbers can change without a new trace.

Keras' legacy optimizers are used because they keep learning rate, momentum and decay in variables, and because they
are what the API was written for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.object_detection_api.checkpoints.variables import zero_all
from trainers.optimizers import Adam, Momentum, Optimizer, RMSProp

legacy = tf_keras.optimizers.legacy


class Update:
    """Applies gradients; kept for every later recipe with the same kind of optimizer.

    optimizer: the Keras object, for checkpoints.
    """

    def __init__(self, settings: Optimizer, variables: Sequence[tf.Variable]) -> None:
        self._variables = list(variables)
        self._epsilon = tf.Variable(1.0, trainable=False, name="epsilon")
        match settings:
            # the value given only says that there is a momentum; `start` sets it
            case Momentum():
                self.optimizer = legacy.SGD(momentum=0.9)
            case Adam():
                self.optimizer = legacy.Adam(epsilon=self._epsilon)
            case RMSProp():
                self.optimizer = legacy.RMSprop(momentum=0.9, epsilon=self._epsilon)
        self.optimizer._create_all_weights(self._variables)

    def start(self, settings: Optimizer) -> None:
        """Take on a recipe's numbers and forget every step taken."""
        match settings:
            case Momentum():
                self.optimizer.momentum = settings.momentum
            case Adam():
                self._epsilon.assign(settings.epsilon)
            case RMSProp():
                self.optimizer.momentum = settings.momentum
                self.optimizer.rho = settings.decay
                self._epsilon.assign(settings.epsilon)
        zero_all(self.optimizer.variables())  # every step taken is forgotten

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: float, clip: float | None) -> None:
        """One step. clip: the largest global norm, or None."""
        self.optimizer.learning_rate = learning_rate
        if clip is None:
            self._apply(gradients)
        else:
            self._apply_clipped(gradients, tf.constant(clip, tf.float32))

    def trace(self) -> None:
        """The step without clipping; now, and not at the first use."""
        self._apply.get_concrete_function([tf.TensorSpec(v.shape, v.dtype) for v in self._variables])

    @tf.function(autograph=False)
    def _apply(self, gradients: Any) -> None:
        self.optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

    @tf.function(autograph=False)
    def _apply_clipped(self, gradients: Any, clip: tf.Tensor) -> None:
        clipped, _ = tf.clip_by_global_norm(gradients, clip)
        self._apply(clipped)
