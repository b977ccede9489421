"""Legacy Keras optimizers with a factor of the learning rate, and decoupled weight decay, for each variable.

Weight decay: Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2, as PyTorch's AdamW has it: before Adam's step,
a variable loses (learning rate x decay) of itself. Variables of one dimension, which are biases and scales of
normalisations, have none. Layer-wise rate decay: the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_keras.optimizers import legacy


class _PerVariable:
    """The part that is common to all; for a class that a legacy optimizer follows.

    factors: (n,) float32 variable, of the learning rate of each variable. decay: scalar variable, of AdamW.
    """

    factors: tf.Variable
    decay: tf.Variable
    _decays: bool
    _places: dict[Any, int]

    def prepare(self, variables: Sequence[tf.Variable], decays: bool) -> None:
        """Create the settings for these variables; outside checkpoints, because they belong to a recipe."""
        self._decays = decays
        self.factors = tf.Variable(tf.ones([len(variables)]), trainable=False, name="rate_factors")
        self.decay = tf.Variable(0.0, trainable=False, name="weight_decay")
        self._places = {variable.ref(): place for place, variable in enumerate(variables)}

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None) -> Any:
        key = var.device, var.dtype.base_dtype
        coefficients = dict(apply_state[key])
        coefficients["lr_t"] = coefficients["lr_t"] * self.factors[self._places[var.ref()]]
        if self._decays and var.shape.rank > 1:
            var.assign_sub(var * (coefficients["lr_t"] * self.decay))
        return super()._resource_apply_dense(grad, var, {key: coefficients})  # type: ignore[misc]


class PerVariableSGD(_PerVariable, legacy.SGD):
    """SGD with a factor of the learning rate for each variable."""


class PerVariableAdam(_PerVariable, legacy.Adam):
    """Adam, or AdamW with a decay above 0, with a factor of the learning rate for each variable."""


class PerVariableRMSprop(_PerVariable, legacy.RMSprop):
    """RMSprop with a factor of the learning rate for each variable."""
