"""Precise batch normalisation: statistics estimated at the current weights, for evaluation.

The moving averages of training lag behind the weights, the more the faster the weights change, and are of augmented
images: rungs evaluated with them misjudge trials. "Precise BN" (Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
2021, section 3) estimates the statistics again from training images without augmentation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.keras_training.variables import set_all, values_of

# images for the estimate; tests/benchmarks/rungs.py measures the effect
STATISTICS_IMAGES = 48


class Statistics:
    """The statistics of batch normalisation `layers`.

    forward: runs the model in training mode on a batch, which is whatever it takes: tensors in any structure. It is
        called in a graph, and must not itself be a tf.function, in which the layers' calls could not be seen.
    """

    def __init__(self, layers: Sequence[Any], forward: Callable[[Any], None]) -> None:
        self._layers = list(layers)
        self._moving = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
        self._forward = forward
        self._moments = tf.function(self._moments_of_inputs, autograph=False)

    def trace(self, batch: Any) -> None:
        """Trace the estimate for batches like this one now, instead of at its first use. Runs nothing."""
        if self._layers:
            self._moments.get_concrete_function(batch)

    @contextmanager
    def in_place(self, batches: Iterable[Any]) -> Iterator[None]:
        """A context in which the layers have the mean and the variance of their inputs over all `batches` together.

        The batches must have the same size. Without any layers, as when all are frozen, nothing is estimated.
        """
        before = values_of(self._moving)
        try:
            if self._layers:
                self._estimate(batches)
            yield
        finally:
            set_all(self._moving, before)

    def _estimate(self, batches: Iterable[Any]) -> None:
        of_batches = [[value.numpy() for value in self._moments(batch)] for batch in batches]
        by_layer = [np.stack(values).astype(np.float64) for values in zip(*of_batches, strict=True)]
        found = []
        for means, variances in zip(by_layer[::2], by_layer[1::2], strict=True):
            found += [means.mean(axis=0), total_variance(means, variances)]
        set_all(self._moving, [tf.constant(value, tf.float32) for value in found])

    def _moments_of_inputs(self, batch: Any) -> list[tf.Tensor]:
        """The mean and the variance, (channels,) each, of every layer's inputs in one batch, layer by layer."""
        with _observed(self._layers) as inputs:
            self._forward(batch)
        if not inputs:
            raise RuntimeError("no batch normalisation was called; forward must not be a tf.function")
        found = []
        for layer in self._layers:
            calls = [_moments(tensor) for tensor in inputs[id(layer)]]
            if not calls:  # the model does not use it: it keeps what it has
                found += [layer.moving_mean, layer.moving_variance]
                continue
            means, variances, counts = (tf.stack(values) for values in zip(*calls, strict=True))
            share = (counts / tf.reduce_sum(counts))[:, tf.newaxis]
            mean = tf.reduce_sum(share * means, axis=0)
            found += [mean, tf.reduce_sum(share * (variances + (means - mean) ** 2), axis=0)]
        return found


def total_variance(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The variance of all values from the means and variances of batches of equal size, (batches, channels) each.

    By the law of total variance: the mean of the variances plus the variance of the means. None is of a sample: each
    divides by the number of values.
    """
    total: np.ndarray = variances.mean(axis=0) + means.var(axis=0)
    return total


def _moments(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(..., channels) -> mean and variance by channel, in float32, and the number of values of a channel."""
    mean, variance = tf.nn.moments(tf.cast(values, tf.float32), list(range(values.shape.rank - 1)))
    return mean, variance, tf.cast(tf.size(values) // values.shape[-1], tf.float32)


@contextmanager
def _observed(layers: Sequence[Any]) -> Iterator[dict[int, list[tf.Tensor]]]:
    """A context in which the inputs of every call of a layer are collected, by the layer's id."""
    inputs: dict[int, list[tf.Tensor]] = defaultdict(list)

    def observe(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(values: tf.Tensor, *args: Any, **kwargs: Any) -> Any:
            inputs[id(layer)].append(values)
            return call(values, *args, **kwargs)

        return tf.autograph.experimental.do_not_convert(observed)  # type: ignore[no-any-return]

    with ExitStack() as restored:
        for layer in layers:
            object.__setattr__(layer, "call", observe(layer, layer.call))
            restored.callback(object.__delattr__, layer, "call")
        yield inputs
