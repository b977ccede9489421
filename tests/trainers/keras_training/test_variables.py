"""Hundreds of variables are set at once; those that share a value at first change by themselves."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainers.keras_training.variables import set_all, values_of, zero_all


def test_zeros_are_shared_until_a_variable_changes():
    first, second = variables = [tf.Variable(np.full((2, 3), 7, np.float32)) for _ in range(2)]
    for _ in range(2):
        zero_all(variables)
        assert not np.any(first)
        assert not np.any(second)
        tf.raw_ops.ResourceApplyGradientDescent(
            var=first.handle, alpha=1.0, delta=tf.ones((2, 3))
        )  # in place
        assert np.all(first == -1)
        assert not np.any(second)


def test_values_are_those_of_before_however_the_variables_change_after():
    variables = [tf.Variable(np.arange(3, dtype=np.float32)), tf.Variable(5.0)]
    kept = values_of(variables)
    for variable in variables:
        variable.assign_add(tf.ones_like(variable))
    set_all(variables, kept)
    np.testing.assert_array_equal(variables[0], [0, 1, 2])
    assert float(variables[1]) == 5
