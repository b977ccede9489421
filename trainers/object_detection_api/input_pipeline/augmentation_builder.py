"""The API's `preprocessor_builder`, with fixes for four augmentations that do not run on today's TensorFlow or here.

subtract_channel_mean is passed a proto's list, which TensorFlow takes for a scalar. The crops of SSD choose among their
operations with `switch` and `merge`, which fail around a `tf.cond` inside a function. autoaugment_image needs
`tensorflow.contrib`. random_square_crop_by_scale has a Python `if` on tensors, and this input pipeline does not use
AutoGraph, which would slow down all the others.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from object_detection.builders import preprocessor_builder
from object_detection.core import preprocessor, preprocessor_cache
from object_detection.utils import autoaugment_utils


def build(step: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A `preprocessor_pb2.PreprocessingStep` as a function and its arguments, for `inputs.augment_input_data`."""
    _choose_operations_by_switch_case()
    _return_contrib()
    _convert_the_ifs_on_tensors()
    function, arguments = preprocessor_builder.build(step)
    return function, {name: _plain(value) for name, value in arguments.items()}


def _plain(value: Any) -> Any:
    """A proto's repeated field as a list, anything else as it is."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | list | tuple) else value


@functools.cache
def _choose_operations_by_switch_case() -> None:
    def choose(
        x: tuple[tf.Tensor, ...],
        func: Callable[..., Any],
        num_cases: int,
        preprocess_vars_cache: Any = None,
        key: str = "",
    ) -> tuple[tf.Tensor, ...]:
        """`func(x, case)` with a random `case` from 0 to num_cases - 1 at each execution."""
        selected = preprocessor._get_or_create_preprocess_rand_vars(
            lambda: preprocessor.tf.random_uniform([], maxval=num_cases, dtype=tf.int32),
            preprocessor_cache.PreprocessorCache.SELECTOR_TUPLES,
            preprocess_vars_cache,
            key,
        )
        branches = [functools.partial(lambda case: tuple(func(x, case)), case) for case in range(num_cases)]
        return tuple(tf.switch_case(selected, branches))

    preprocessor._apply_with_random_selector_tuples = choose


@functools.cache
def _convert_the_ifs_on_tensors() -> None:
    as_written = preprocessor.random_square_crop_by_scale
    preprocessor.random_square_crop_by_scale = functools.wraps(as_written)(tf.autograph.to_graph(as_written))


@functools.cache
def _return_contrib() -> None:
    """The parts of `tensorflow.contrib.image` and `.training` that autoaugment_utils.py uses."""
    autoaugment_utils.contrib_image = types.SimpleNamespace(
        rotate=_rotate, translate=_translate, transform=_transform
    )
    autoaugment_utils.contrib_training = types.SimpleNamespace(HParams=types.SimpleNamespace)


def _transform(image: tf.Tensor, transform: Sequence[Any]) -> tf.Tensor:
    """Projective transform: pixel (x, y) is the nearest to ((ax + by + c) / k, (dx + ey + f) / k), k = gx + hy + 1.

    image: (H, W, C). transform: a, b, c, d, e, f, g, h. Pixels from outside the image are 0.
    """
    eight = tf.stack([tf.cast(value, tf.float32) for value in transform])
    result: tf.Tensor = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=eight[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]
    result.set_shape(image.shape)
    return result


def _translate(image: tf.Tensor, shift: Sequence[Any]) -> tf.Tensor:
    """Translate the image by `shift`, [dx, dy] in pixels."""
    return _transform(
        image, [1, 0, -tf.cast(shift[0], tf.float32), 0, 1, -tf.cast(shift[1], tf.float32), 0, 0]
    )


def _rotate(image: tf.Tensor, angle: Any) -> tf.Tensor:
    """Rotate the image counterclockwise about its centre by `angle`, in radians."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    height, width = size[0] - 1, size[1] - 1
    sin, cos = tf.sin(angle), tf.cos(angle)
    x = (width - (cos * width - sin * height)) / 2
    y = (height - (sin * width + cos * height)) / 2
    return _transform(image, [cos, -sin, x, sin, cos, y, 0, 0])
