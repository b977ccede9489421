"""Replicas: one gradient step on several devices, each with its share of the images, as exact as on one device.

Each device computes the outputs of the network for its share. These are gathered, and the loss is that of the whole
batch, so that what it is divided by, such as the number of matched anchors, is that of the whole batch too. Batch
normalisation takes the mean and variance over all devices, and what is dropped of an image at random is the same on any
number of them. The optimizer and its variables are on the first device alone, from which the others read the network's
variables at each step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import tensorflow as tf

from trainers.keras_training.batch_norm.over_devices import SUM, place, synchronised


class _Tracing(threading.local):
    # first and end of the images of the device that this thread traces, and those of all; None on one device
    images: tuple[int, int, int] | None = None


_tracing = _Tracing()


def uniform_by_image(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random numbers in [0, 1), (images, ...) float32, of which an image has the same on several devices as on one.

    shape: (rank,) int32. seed: (2,) integers.
    """
    if _tracing.images is None:
        return tf.random.stateless_uniform(shape, seed)
    first, end, of_all = _tracing.images
    return tf.random.stateless_uniform(tf.concat([[of_all], shape[1:]], 0), seed)[first:end]


@contextmanager
def _with_images(first: int, end: int, of_all: int) -> Iterator[None]:
    _tracing.images = first, end, of_all
    try:
        yield
    finally:
        _tracing.images = None


class Replicas:
    """devices: names such as "GPU:0", two or more. layers: those of batch normalisation that use their batch's values.

    batch_size: images of a step; devices beyond it stay idle.
    """

    def __init__(self, devices: Sequence[str], layers: Sequence[Any], batch_size: int) -> None:
        self._strategy = tf.distribute.MirroredStrategy(list(devices)[:batch_size])
        self._layers = list(layers)
        count = self._strategy.num_replicas_in_sync
        self._bounds = [batch_size * part // count for part in range(count + 1)]

    def losses_and_gradients(
        self,
        inputs: Any,
        outputs: Callable[[Any], dict[str, tf.Tensor]],
        gathered: Sequence[str],
        losses: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
        variables: Sequence[tf.Variable],
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
        """Loss parts, and the gradients of "total" among them; to be called in a tf.function.

        inputs: tensors of the whole batch, in any structure, whose first dimension is that of the images.
        outputs: is called on each device with its share of them. gathered: names of the outputs that it returns whose
            first dimension is that of the images. losses: is called on each device with the outputs for all images.
        """
        count = self._strategy.num_replicas_in_sync

        def replica() -> Any:
            context = tf.distribute.get_replica_context()
            first, end = self._bounds[place()], self._bounds[place() + 1]
            mine = tf.nest.map_structure(lambda each: each[first:end], inputs)
            with tf.GradientTape() as tape:
                with _with_images(first, end, self._bounds[-1]):
                    found = outputs(mine)
                found = found | {name: context.all_gather(found[name], axis=0) for name in gathered}
                parts = losses(found)
                share = parts["total"] / count  # each device computes all of it
            return parts, tape.gradient(share, variables)

        images = [end - first for first, end in pairwise(self._bounds)]
        with synchronised(self._layers, images):
            parts, gradients = self._strategy.run(replica)
        return (
            {name: self._strategy.experimental_local_results(value)[0] for name, value in parts.items()},
            [None if each is None else self._strategy.reduce(SUM, each, axis=None) for each in gradients],
        )
