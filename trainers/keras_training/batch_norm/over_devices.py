"""Batch normalisation over several devices: the mean and variance of the whole batch, of which each has a share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf

SUM = tf.distribute.ReduceOp.SUM


def place() -> int:
    """The place, among the devices, of the one that is being traced."""
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))


@contextmanager
def synchronised(layers: Sequence[Any], images: Sequence[int]) -> Iterator[None]:
    """A context in which the layers' mean and variance, and their moving averages, are those over all devices.

    images: how many of a batch each device has.
    """
    with ExitStack() as restored:
        for layer in layers:
            moments, moving = _over_devices(layer, images)
            replaced = {"fused": False, "_calculate_mean_and_var": moments, "_assign_moving_average": moving}
            for name, value in replaced.items():
                before = vars(layer).get(name)
                object.__setattr__(layer, name, value)
                restored.callback(_put_back, layer, name, before)
        yield


def _put_back(layer: Any, name: str, value: Any) -> None:
    if value is None:
        object.__delattr__(layer, name)
    else:
        object.__setattr__(layer, name, value)


def _over_devices(layer: Any, images: Sequence[int]) -> tuple[Any, Any]:
    """What replaces the layer's own moments, and its update of a moving average."""
    assign, fused = layer._assign_moving_average, layer.fused
    values: list[float] = [0.0]  # of a channel, on all devices, in the newest call

    def moments(inputs: tf.Tensor, axes: Sequence[int], keep_dims: bool, mask: Any = None) -> Any:
        of_image = [inputs.shape[axis] for axis in axes if axis != 0]
        values[0] = float(sum(images) * tf.TensorShape(of_image).num_elements())
        own = tf.stack(tf.nn.moments(tf.cast(inputs, tf.float32), axes, keepdims=keep_dims))
        # each device adds its own to the others' zeros, which loses nothing by rounding
        padding = [[place(), len(images) - 1 - place()], *[[0, 0]] * own.shape.rank]
        context = tf.distribute.get_replica_context()
        means, variances = tf.unstack(context.all_reduce(SUM, tf.pad(own[tf.newaxis], padding)), axis=1)
        share = tf.reshape(tf.constant(images, tf.float32) / sum(images), [-1, *[1] * (own.shape.rank - 1)])
        mean = tf.reduce_sum(share * means, axis=0)
        return mean, tf.reduce_sum(share * (variances + tf.square(means - mean)), axis=0)

    def moving(variable: tf.Variable, value: tf.Tensor, *others: Any) -> Any:
        if place():
            return None  # the first device's are the same
        if (
            fused and variable is layer.moving_variance
        ):  # TensorFlow's fused operation has that of a sample, too
            value *= values[0] / max(values[0] - 1, 1)
        return assign(variable, value, *others)

    return tf.autograph.experimental.do_not_convert(moments), tf.autograph.experimental.do_not_convert(moving)
