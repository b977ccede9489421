"""Update: an optimizer of a model's variables whose hyperparameters can change without tracing again.

It uses Keras' legacy optimizers, because they keep learning rate, momentum and decay in variables, and because the API
was written for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.keras_training.per_variable import PerVariableAdam, PerVariableRMSprop, PerVariableSGD
from trainers.keras_training.variables import zero_all
from trainers.optimizers import Adam, AdamW, Momentum, Optimizer, RMSProp

legacy = tf_keras.optimizers.legacy


class Update:
    """Applies gradients; reused for later recipes with the same kind of optimizer.

    optimizer: the Keras optimizer, for checkpoints.
    """

    def __init__(
        self, settings: Optimizer, variables: Sequence[tf.Variable], per_variable: bool = False
    ) -> None:
        """per_variable: whether variables may have learning rates of their own."""
        self._variables = list(variables)
        self._epsilon = tf.Variable(1.0, trainable=False, name="epsilon")
        self._per_variable = per_variable or isinstance(settings, AdamW)
        match settings:
            # a placeholder that enables momentum; `start` sets the value
            case Momentum():
                self.optimizer = (PerVariableSGD if self._per_variable else legacy.SGD)(momentum=0.9)
            case Adam() | AdamW():
                kind = PerVariableAdam if self._per_variable else legacy.Adam
                self.optimizer = kind(epsilon=self._epsilon)
            case RMSProp():
                kind = PerVariableRMSprop if self._per_variable else legacy.RMSprop
                self.optimizer = kind(momentum=0.9, epsilon=self._epsilon)
        if self._per_variable:
            self.optimizer.prepare(self._variables, isinstance(settings, AdamW))
        self.optimizer._create_all_weights(self._variables)

    def start(self, settings: Optimizer, factors: Sequence[float] | None = None) -> None:
        """Set a recipe's hyperparameters and reset the optimizer's state.

        factors: of the learning rate, one for each variable; None for 1.
        """
        if self._per_variable:
            self.set_factors([1.0] * len(self._variables) if factors is None else factors)
            self.optimizer.decay.assign(settings.weight_decay if isinstance(settings, AdamW) else 0.0)
        match settings:
            case Momentum():
                self.optimizer.momentum = settings.momentum
            case Adam() | AdamW():
                self._epsilon.assign(settings.epsilon)
            case RMSProp():
                self.optimizer.momentum = settings.momentum
                self.optimizer.rho = settings.decay
                self._epsilon.assign(settings.epsilon)
        zero_all(self.optimizer.variables())

    def set_factors(self, factors: Sequence[float]) -> None:
        """Change the factors of the learning rate during a trial, if variables may have their own."""
        self.optimizer.factors.assign(factors)

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
