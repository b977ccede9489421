"""An exponential moving average of a model's weights, which can replace the weights during evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf


class Averaging(tf.Module):
    """Averages of `variables`, by tf.train.ExponentialMovingAverage's rule: decay min(decay, (1 + n) / (10 + n))."""

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        super().__init__(name="averaging")
        self._variables = list(variables)
        self._averages = [tf.Variable(v, trainable=False) for v in variables]

    @tf.function(autograph=False)
    def start(self) -> None:
        """Reset the averages to the variables' current values."""
        for average, variable in zip(self._averages, self._variables, strict=True):
            average.assign(variable)

    @tf.function(autograph=False)
    def update(self, decay: tf.Tensor, step: tf.Tensor) -> None:
        """Update the averages after step number `step` (from 0). decay, step: float32 scalars."""
        decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self._averages, self._variables, strict=True):
            average.assign_sub((1.0 - decay) * (average - variable))

    @tf.function(autograph=False)
    def _swap(self) -> None:
        for average, variable in zip(self._averages, self._variables, strict=True):
            value = tf.identity(variable)
            variable.assign(average)
            average.assign(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """A context in which the model's variables hold the averages; they are restored at its end."""
        self._swap()
        try:
            yield
        finally:
            self._swap()
