"""Reads and sets hundreds of variables with raw operations, because the methods of `tf.Variable` are much slower."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import tensorflow as tf


def values_of(variables: Iterable[tf.Variable]) -> list[tf.Tensor]:
    """The current values of the variables. A value is copied only when its variable changes."""
    return [tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype) for v in variables]


def set_all(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Set each variable to its value. Raises tf.errors.InvalidArgumentError for a wrong shape."""
    for variable, value in zip(variables, values, strict=True):
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value, validate_shape=True)


def zero_all(variables: Iterable[tf.Variable]) -> None:
    """Set each variable to zeros."""
    for variable in variables:
        zeros = _zeros(tuple(variable.shape), variable.dtype)
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=zeros)


@functools.cache
def _zeros(shape: tuple[int, ...], dtype: tf.DType) -> tf.Tensor:
    """Zeros that many variables may share: a variable copies its value before it changes it in place."""
    with tf.init_scope():
        return tf.zeros(shape, dtype)
