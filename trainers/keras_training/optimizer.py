"""Update: an optimizer of a model's variables whose hyperparameters can change without tracing again.

It uses Keras' legacy optimizers, because they keep learning rate, momentum and decay in variables, and because the API
was written for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from trainers.keras_training.variables import zero_all
from trainers.optimizers import Adam, AdamW, Momentum, Optimizer, RMSProp

legacy = tf_keras.optimizers.legacy


# gradient step of one variable: variable, gradient, learning rate
Step = Callable[[tf.Variable, tf.Tensor, tf.Tensor], Any]


class Update:
    """Applies gradients; reused for later recipes with the same kind of optimizer.

    The state is that of a Keras optimizer; the steps are TensorFlow's operations, which Keras calls too. Through Keras,
    the step of some hundred variables takes twice as long to trace.

    AdamW's weight decay is that of Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 2, as PyTorch's AdamW has
    it: before Adam's step, a variable loses (learning rate x decay) of itself. Variables of one dimension, which are
    biases and scales of normalisations, have none.

    optimizer: the Keras optimizer, for checkpoints.
    """

    def __init__(
        self, settings: Optimizer, variables: Sequence[tf.Variable], per_variable: bool = False
    ) -> None:
        """per_variable: whether variables may have learning rates of their own."""
        self._variables = list(variables)
        self._epsilon = tf.Variable(1.0, trainable=False, name="epsilon")
        self._weight_decay = tf.Variable(0.0, trainable=False, name="weight_decay")
        self._decays = isinstance(settings, AdamW)
        self._per_variable = per_variable or self._decays
        self._factors = tf.Variable(tf.ones([len(self._variables)]), trainable=False, name="rate_factors")
        self._begin_step: Callable[[], Step]
        match settings:
            # a placeholder that enables momentum; `start` sets the value
            case Momentum():
                self.optimizer = legacy.SGD(momentum=0.9)
                self._begin_step = self._momentum_step
            case Adam() | AdamW():
                self.optimizer = legacy.Adam(epsilon=self._epsilon)
                self._begin_step = self._adam_step
            case RMSProp():
                self.optimizer = legacy.RMSprop(momentum=0.9, epsilon=self._epsilon)
                self._begin_step = self._rms_prop_step
        self.optimizer._create_all_weights(self._variables)

    def start(self, settings: Optimizer, factors: Sequence[float] | None = None) -> None:
        """Set a recipe's hyperparameters and reset the optimizer's state. factors: as for `set`."""
        self.set(settings, factors)
        zero_all(self.optimizer.variables())

    def set(self, settings: Optimizer, factors: Sequence[float] | None = None) -> None:
        """Set a recipe's hyperparameters, which a checkpoint has too.

        factors: of the learning rate, one for each variable; None for 1.
        """
        if self._per_variable:
            self.set_factors([1.0] * len(self._variables) if factors is None else factors)
            self._weight_decay.assign(settings.weight_decay if isinstance(settings, AdamW) else 0.0)
        match settings:
            case Momentum():
                self.optimizer.momentum = settings.momentum
            case Adam() | AdamW():
                self._epsilon.assign(settings.epsilon)
            case RMSProp():
                self.optimizer.momentum = settings.momentum
                self.optimizer.rho = settings.decay
                self._epsilon.assign(settings.epsilon)

    def set_factors(self, factors: Sequence[float]) -> None:
        """Change the factors of the learning rate during a trial, if variables may have their own."""
        self._factors.assign(factors)

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
        rate = tf.identity(self.optimizer.learning_rate)
        rates = tf.unstack(rate * self._factors) if self._per_variable else [rate] * len(self._variables)
        step = self._begin_step()
        for variable, gradient, own in zip(self._variables, gradients, rates, strict=True):
            if gradient is None:  # the loss does not depend on it, as on the end of some backbones
                continue
            if self._decays and variable.shape.rank > 1:
                variable.assign_sub(variable * (own * self._weight_decay))
            step(variable, gradient, own)
        self.optimizer.iterations.assign_add(1)

    @tf.function(autograph=False)
    def _apply_clipped(self, gradients: Any, clip: tf.Tensor) -> None:
        clipped, _ = tf.clip_by_global_norm(gradients, clip)
        self._apply(clipped)

    def _momentum_step(self) -> Step:
        momentum = tf.identity(self.optimizer.momentum)
        return lambda variable, gradient, rate: tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle, accum=self._state(variable, "momentum"), lr=rate, grad=gradient, momentum=momentum,
            use_locking=True,
        )  # fmt: skip

    def _adam_step(self) -> Step:
        betas = [tf.identity(self.optimizer.beta_1), tf.identity(self.optimizer.beta_2)]
        taken = tf.cast(self.optimizer.iterations + 1, tf.float32)
        powers = [tf.pow(beta, taken) for beta in betas]
        epsilon = tf.identity(self._epsilon)
        return lambda variable, gradient, rate: tf.raw_ops.ResourceApplyAdam(
            var=variable.handle, m=self._state(variable, "m"), v=self._state(variable, "v"), beta1_power=powers[0],
            beta2_power=powers[1], lr=rate, beta1=betas[0], beta2=betas[1], epsilon=epsilon, grad=gradient,
            use_locking=True,
        )  # fmt: skip

    def _rms_prop_step(self) -> Step:
        rho, momentum = tf.identity(self.optimizer.rho), tf.identity(self.optimizer.momentum)
        epsilon = tf.identity(self._epsilon)
        return lambda variable, gradient, rate: tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle, ms=self._state(variable, "rms"), mom=self._state(variable, "momentum"), lr=rate,
            rho=rho, momentum=momentum, epsilon=epsilon, grad=gradient, use_locking=True,
        )  # fmt: skip

    def _state(self, variable: tf.Variable, name: str) -> tf.Tensor:
        return self.optimizer.get_slot(variable, name).handle
