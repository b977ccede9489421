"""With `flip_test`, an image and its mirror image are predicted together, and the mean of the probabilities decides."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainers.segmentation.graph import Graph
from trainers.segmentation.losses import LossSettings

SIDE, CLASSES = 8, 3


def network():
    """One that tells left from right."""
    from tf_keras import Input, Model, layers

    image = Input((SIDE, SIDE, 3))
    kernel = tf.keras.initializers.RandomNormal(stddev=0.02, seed=3)
    return Model(image, layers.Conv2D(CLASSES, 3, padding="same", kernel_initializer=kernel)(image))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph(network, SIDE, flip_test=True)


def probabilities(logits) -> np.ndarray:
    return tf.nn.softmax(logits).numpy()


def test_the_probabilities_are_the_mean_of_both(graph, images):
    plain = probabilities(graph.model(images.astype(np.float32)))
    mirrored = probabilities(graph.model(images[:, :, ::-1].astype(np.float32)))[:, :, ::-1]
    assert not np.allclose(plain, mirrored, atol=0.01)
    assert np.allclose(probabilities(graph.predict(images)), (plain + mirrored) / 2, atol=1e-6)


def test_a_mirror_image_has_the_mirrored_prediction(graph, images):
    there = graph.predict(np.ascontiguousarray(images[:, :, ::-1])).numpy()
    assert np.allclose(there[:, :, ::-1], graph.predict(images).numpy(), atol=1e-5)


def test_without_it_the_network_decides_alone(images):
    graph = Graph(network, SIDE)
    assert np.array_equal(graph.predict(images), graph.model(images.astype(np.float32)))


def test_its_loss_is_that_of_what_is_predicted(graph, images):
    masks = np.random.default_rng(1).integers(0, CLASSES, (2, SIDE, SIDE)).astype(np.uint8)
    settings = LossSettings(tf.ones(CLASSES), *(tf.constant(0.0) for _ in range(3)))
    parts, logits = graph.evaluate(images, masks, settings)
    right = np.take_along_axis(probabilities(logits), masks[..., np.newaxis].astype(int), axis=-1)
    assert float(parts["cross_entropy"]) == pytest.approx(-np.log(right).mean(), rel=1e-4)
