"""Grouped convolutions compute what tf_keras computes by XLA, gradients too, with oneDNN and without."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from trainers.object_detection_api.pyramid.backbones.networks import grouped

CHANNELS, FILTERS = 8, 16
pytestmark = pytest.mark.slow(5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("groups", "filters"), [(4, FILTERS), (2, CHANNELS), (CHANNELS, CHANNELS)])
@pytest.mark.parametrize("by_tensorflow", [True, False])
def test_it_has_the_values_and_gradients_of_tf_keras(by_tensorflow, groups, filters, stride, monkeypatch):
    if by_tensorflow and not grouped.has_gradients():
        pytest.skip("TensorFlow has no gradients of grouped convolutions on this machine")
    monkeypatch.setattr(grouped, "has_gradients", lambda: by_tensorflow)
    images = tf.random.stateless_normal([2, 9, 11, CHANNELS], [1, 2])
    found = []
    for layer in (tf_keras.layers.Conv2D, grouped.GroupedConv2D):
        made = layer(filters, 3, strides=stride, groups=groups)
        made.build(images.shape)
        kernel = tf.random.stateless_normal(made.kernel.shape, [3, 4])
        made.set_weights([kernel.numpy(), np.arange(filters, dtype=np.float32)])

        @tf.function(autograph=False)
        def run(made=made):
            with tf.GradientTape() as tape:
                tape.watch(images)
                output = made(images)
                total = tf.reduce_sum(output**2)
            return [output, *tape.gradient(total, [images, *made.trainable_variables])]

        found.append([each.numpy() for each in run()])
    for theirs, own in zip(*found, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-4, atol=1e-3)


def test_tf_keras_has_the_method_that_is_replaced():
    assert "_jit_compiled_convolution_op" in vars(tf_keras.layers.Conv2D.__mro__[1])
