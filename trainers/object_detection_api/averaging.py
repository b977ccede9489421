"""An exponential moving average of a model's weights, in whose place evaluation can be done."""

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
        """Begin anew from the variables' present values."""
        for average, variable in zip(self._averages, self._variables, strict=True):
            average.assign(variable)

    @tf.function(autograph=False)
    def update(self, decay: tf.Tensor, step: tf.Tensor) -> None:
        """After step number `step` (from 0): move the averages; both are float32 scalars."""
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
        """Within it, the model's variables hold the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()
