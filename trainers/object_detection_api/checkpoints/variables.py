"""Reads and sets hundreds of variables, an operation each: what `tf.Variable` does around it takes far longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf


def values_of(variables: Iterable[tf.Variable]) -> list[tf.Tensor]:
    """Their values now. Nothing is copied until a variable is moved."""
    return [tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype) for v in variables]


def set_all(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """Set each to its value. Raises tf.errors.InvalidArgumentError for one of another shape."""
    for variable, value in zip(variables, values, strict=True):
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value, validate_shape=True)


def zero_all(variables: Iterable[tf.Variable]) -> None:
    """Set each to zeros."""
    for variable in variables:
        zeros = tf.zeros(variable.shape, variable.dtype)
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=zeros)
