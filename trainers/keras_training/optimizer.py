"""Update: an optimizer of a model's variables whose hyperparameters can change without tracing again.

It uses Keras' legacy optimizers, because they keep learning rate, momentum and decay in variables, and because the API
was written for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.keras_training.variables import zero_all
from trainers.optimizers import Adam, Momentum, Optimizer, RMSProp

legacy = tf_keras.optimizers.legacy


class Update:
    """Applies gradients; reused for later recipes with the same kind of optimizer.

    optimizer: the Keras optimizer, for checkpoints.
    """

    def __init__(self, settings: Optimizer, variables: Sequence[tf.Variable]) -> None:
        self._variables = list(variables)
        self._epsilon = tf.Variable(1.0, trainable=False, name="epsilon")
        match settings:
            # a placeholder that enables momentum; `start` sets the value
            case Momentum():
                self.optimizer = legacy.SGD(momentum=0.9)
            case Adam():
                self.optimizer = legacy.Adam(epsilon=self._epsilon)
            case RMSProp():
                self.optimizer = legacy.RMSprop(momentum=0.9, epsilon=self._epsilon)
        self.optimizer._create_all_weights(self._variables)

    def start(self, settings: Optimizer) -> None:
        """Set a recipe's hyperparameters and reset the optimizer's state."""
        match settings:
            case Momentum():
                self.optimizer.momentum = settings.momentum
            case Adam():
                self._epsilon.assign(settings.epsilon)
            case RMSProp():
                self.optimizer.momentum = settings.momentum
                self.optimizer.rho = settings.decay
                self._epsilon.assign(settings.epsilon)
        zero_all(self.optimizer.variables())

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: float, clip: float | None) -> None:
        """Apply one step. clip: maximum global norm of the gradients; None for no clipping."""
        self.optimizer.learning_rate = learning_rate
        if clip is None:
            self._apply(gradients)
        else:
            self._apply_clipped(gradients, tf.constant(clip, tf.float32))

    def trace(self) -> None:
        """Trace the step without clipping now, instead of at its first use."""
        self._apply.get_concrete_function([tf.TensorSpec(v.shape, v.dtype) for v in self._variables])

    @tf.function(autograph=False)
    def _apply(self, gradients: Any) -> None:
        self.optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

    @tf.function(autograph=False)
    def _apply_clipped(self, gradients: Any, clip: tf.Tensor) -> None:
        clipped, _ = tf.clip_by_global_norm(gradients, clip)
        self._apply(clipped)
