"""Validation losses are those of the images, however many others fill up their batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


@pytest.mark.slow(60)
def test_an_image_has_the_same_loss_with_one_beside_it_that_only_fills_up_the_batch(trainer, tiny_recipe):
    import tensorflow as tf

    trainer.start(tiny_recipe)
    (batch,) = trainer._validation_batches(1)  # of two images, the second only to fill it up
    assert batch["real"].numpy().tolist() == [True, False]
    twice = {name: tf.stack([value[0], value[0]]) for name, value in batch.items()}  # two real images
    weights = trainer._loss_weights
    filled_up, full = (trainer._graph.evaluate(each, weights)[0] for each in (batch, twice))
    for part in ("classification", "localization"):
        assert float(filled_up[part]) == pytest.approx(float(full[part]), rel=1e-4), part


@pytest.mark.slow
def test_the_mean_over_the_images_of_faster_rcnn_is_that_over_the_real_ones():
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api.architectures.faster_rcnn import FasterRCNN
    from trainers.object_detection_api.graph import Graph

    architecture = FasterRCNN()
    parts = {key: tf.constant(2.0) for keys in architecture.losses.values() for key in keys}
    detector: Any = SimpleNamespace(
        architecture=architecture,
        model=SimpleNamespace(_is_training=False, loss=lambda predictions, shapes: parts),
        regularization_loss=lambda weight: tf.constant(5.0),
    )
    factors = dict.fromkeys([*architecture.losses, "regularization"], 1.0)
    batch = {"true_image_shape": None, "real": tf.constant([True, False, False, False])}
    graph: Any = SimpleNamespace(detector=detector)
    losses = Graph._losses(graph, {}, batch, factors, training=False)
    assert {name: float(value) for name, value in losses.items()} == {
        **dict.fromkeys(architecture.losses, 8.0), "regularization": 5.0, "total": 4 * 8.0 + 5.0,
    }  # fmt: skip
