"""Makes every random draw of the API's augmentations a function of one seed an image.

The API draws from TensorFlow's stateful generators, whose values depend on what else a process has drawn and on which
thread came first. Inside `seeded(seed)` the same calls draw statelessly instead: the n-th draw of a traced function
uses (seed[0] + n, seed[1]). An augmented image is then the same in a warm process, a cold one, after a restart in
the middle of an epoch, and with any number of threads.

Known limit: within one `tf.while_loop` of the API (autoaugment's per-box policies) every turn repeats its draws.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from object_detection.core import preprocessor
from object_detection.utils import autoaugment_utils, patch_ops

_PATCHED_MODULES = (preprocessor, autoaugment_utils, patch_ops)
_local = threading.local()


class _Draws:
    """Gives each draw of one traced function a seed of its own."""

    def __init__(self, seed: tf.Tensor) -> None:
        self._seed = tf.cast(seed, tf.int64)
        self._count = 0

    def next_seed(self) -> tf.Tensor:
        self._count += 1
        return self._seed + tf.constant([self._count, 0], tf.int64)


@contextlib.contextmanager
def seeded(seed: tf.Tensor) -> Iterator[None]:
    """Within it, the API's augmentations draw from `seed`, an int64 tensor (2,). For use while a function is traced."""
    _patch()
    before = getattr(_local, "draws", None)
    _local.draws = _Draws(seed)
    try:
        yield
    finally:
        _local.draws = before


def _stateless(stateful: Callable[..., Any], stateless: Callable[..., Any]) -> Callable[..., Any]:
    """`stateful` outside `seeded`, `stateless` with the next seed within."""

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
    """A module seen through some attributes of its own."""

    def __init__(self, module: Any, **attributes: Any) -> None:
        self.__dict__.update(attributes)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)


@functools.cache
def _patch() -> None:
    """Give the API's augmentation modules a `tf` whose random functions know `seeded`."""
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
