"""Precise batch normalisation: statistics estimated at the current weights, for evaluation.

The moving averages of training lag behind the weights, the more the faster the weights change, and are of augmented
images: rungs evaluated with them misjudge trials. "Precise BN" (Wu and Johnson, "Rethinking 'Batch' in BatchNorm",
2021, section 3) estimates the statistics again from training images without augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from trainers.keras_training.variables import set_all, values_of, zero_all

# images for the estimate; tests/benchmarks/rungs.py measures the effect
STATISTICS_IMAGES = 48


class Statistics:
    """The statistics of batch normalisation `layers`. forward: runs the model on a batch in training mode.

    A batch is whatever `forward` takes.
    """

    def __init__(self, layers: Sequence[Any], forward: Callable[[Any], None]) -> None:
        self._moving = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
        self._new = [1.0 - layer.momentum for layer in layers for _ in range(2)]
        self._forward = forward

    @contextmanager
    def in_place(self, batches: Iterable[Any]) -> Iterator[None]:
        """A context in which the layers' statistics are the means over `batches` of each batch's mean and variance."""
        before = values_of(self._moving)
        try:
            self._estimate(batches)
            yield
        finally:
            set_all(self._moving, before)

    def _estimate(self, batches: Iterable[Any]) -> None:
        totals: list[Any] = [0.0] * len(self._moving)
        count = 0
        for batch in batches:
            zero_all(self._moving)
            self._forward(batch)
            # starting at zero, one update gives (1 - momentum) times the batch's statistic
            found = [
                value.numpy() / new for value, new in zip(values_of(self._moving), self._new, strict=True)
            ]
            totals = [total + one for total, one in zip(totals, found, strict=True)]
            count += 1
        set_all(self._moving, [tf.constant(total / count) for total in totals])
