"""Makes the API's random numbers deterministic: those of the augmentations of an image, and of a model's samples.

The API uses TensorFlow's stateful random generators, whose values depend on earlier calls in the process and on the
order of threads. Inside `seeded(seed)`, the same calls use stateless generators instead: the n-th call in a traced
function uses the seed (seed[0] + n, seed[1]). An augmented image is then the same in a new and in a reused process,
after a restart in the middle of an epoch, and with any number of threads.

Known limitation: in a `tf.while_loop` of the API (autoaugment's per-box policies) all iterations get the same numbers.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from object_detection.core import balanced_positive_negative_sampler, minibatch_sampler, preprocessor
from object_detection.utils import autoaugment_utils, patch_ops

_PATCHED_MODULES = (
    preprocessor, autoaugment_utils, patch_ops, balanced_positive_negative_sampler, minibatch_sampler,
)  # fmt: skip
_local = threading.local()


class _Draws:
    """Gives each random call in one traced function its own seed."""

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed = tf.cast(seed, tf.int64)
        self._count = 0

    def next_seed(self) -> tf.Tensor:
        self._count += 1
        return self._seed + tf.constant([self._count, 0], tf.int64)


@contextlib.contextmanager
def seeded(seed: tf.Tensor) -> Iterator[None]:
    """A context in which the API's random calls, when traced, use the stateless `seed`, an int64 tensor (2,)."""
    _patch()
    before = getattr(_local, "draws", None)
    _local.draws = _Draws(seed)
    try:
        yield
    finally:
        _local.draws = before


def next_seed() -> tf.Tensor:
    """The seed of the next random call, for one that is not the API's; to be traced inside `seeded`."""
    draws: _Draws | None = getattr(_local, "draws", None)
    if draws is None:
        raise RuntimeError(
            "random numbers in training need the seed of a step: trace the model inside `seeded`"
        )
    return draws.next_seed()


def _stateless(stateful: Callable[..., Any], stateless: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls `stateless` with the next seed inside `seeded`, and `stateful` outside."""

    @functools.wraps(stateful)
    def draw(*args: Any, **kwargs: Any) -> Any:
        draws: _Draws | None = getattr(_local, "draws", None)
        if draws is None:
            return stateful(*args, **kwargs)
        kwargs.pop("seed", None)
        kwargs.pop("seed2", None)
        return stateless(draws.next_seed(), *args, **kwargs)

    return draw


def _uniform(
    seed: Any, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = tf.float32, name: Any = None
) -> Any:
    if maxval is None and tf.as_dtype(dtype).is_floating:
        maxval = 1
    return tf.random.stateless_uniform(shape, seed, minval, maxval, dtype, name)


def _normal(
    seed: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = tf.float32, name: Any = None
) -> Any:
    return tf.random.stateless_normal(shape, seed, mean, stddev, dtype, name)


def _shuffle(seed: Any, value: Any, name: Any = None) -> Any:
    return tf.random.experimental.stateless_shuffle(value, seed, name=name)


def _distorted_box(seed: Any, image_size: Any, bounding_boxes: Any, **kwargs: Any) -> Any:
    return tf.image.stateless_sample_distorted_bounding_box(image_size, bounding_boxes, seed, **kwargs)


class _Overlay:
    """A proxy of a module in which some attributes are replaced."""

    def __init__(self, module: Any, **attributes: Any) -> None:
        self.__dict__.update(attributes)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)


@functools.cache
def _patch() -> None:
    """Replace `tf` in the API's augmentation modules by a proxy with seedable random functions."""
    for module in _PATCHED_MODULES:
        real = module.tf
        uniform = _stateless(tf.random.uniform, _uniform)
        normal = _stateless(tf.random.normal, _normal)
        shuffle = _stateless(tf.random.shuffle, _shuffle)
        boxes = _stateless(tf.compat.v1.image.sample_distorted_bounding_box, _distorted_box)
        module.tf = _Overlay(
            real,
            random_uniform=uniform,
            random_normal=normal,
            random_shuffle=shuffle,
            random=_Overlay(real.random, uniform=uniform, normal=normal, shuffle=shuffle),
            image=_Overlay(real.image, sample_distorted_bounding_box=boxes),
        )
