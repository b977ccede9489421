"""What Keras' Dropout layers drop in a step follows from its seed; evaluation drops nothing, in its estimate neither."""

from __future__ import annotations

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe as recipes


@pytest.mark.slow
def test_a_dropout_layer_drops_by_the_seed_of_the_step_and_nothing_where_that_is_said():
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf
    import tf_keras

    from trainers.object_detection_api.dropping import make_seeded, nothing_dropped
    from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded

    branches = [tf_keras.layers.Dropout(0.25, noise_shape=(None, 1, 1)) for _ in range(2)]
    make_seeded(tf_keras.Sequential([tf_keras.Input((2, 2)), *branches]))
    ones = tf.ones([4000, 2, 2])

    def dropped(seed: int) -> list[np.ndarray]:
        with seeded(tf.constant([seed, 0], tf.int64)):
            return [layer(ones, training=True).numpy() for layer in branches]

    first, second = dropped(1)
    np.testing.assert_allclose(np.unique(first), [0.0, 1 / 0.75])
    assert np.all(first == first[:, :1, :1])
    assert first.mean() == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(dropped(1), [first, second])
    assert not np.array_equal(dropped(9)[0], first)
    with nothing_dropped():
        np.testing.assert_array_equal(branches[0](ones, training=True), ones)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_efficientdet_has_the_same_losses_in_training_and_evaluation_each_time(tiny_city):
    from trainers.object_detection_api.trainer import DetectorTrainer

    preset = {**models.get("efficientdet").presets["laptop"], "batch_size": 2}
    recipe = recipes.build({"model": "efficientdet", **preset, "seed": 7})
    trainer = DetectorTrainer(tiny_city)
    trainer.start(recipe)
    losses = trainer.train(3).losses["total"]
    assert trainer.evaluate(images=2).losses == trainer.evaluate(images=2).losses
    trainer.start(recipe)
    np.testing.assert_allclose(trainer.train(3).losses["total"], losses, rtol=1e-5)
