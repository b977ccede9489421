"""With `flip_test`, a one-stage detector's predictions for an image and for its mirror image count alike."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.object_detection_api.architectures.mirroring import mean_with_mirrored
from tuning.api.deployment.after_training import mirroring

SIDE, STRIDE = 64, 16


def anchors(first: float) -> np.ndarray:
    """(16, 4): a square and a wide one at each of 4 columns and 2 rows, the first centre at `first` pixels."""
    found = []
    for row in range(2):
        for column in range(4):
            y, x = 8 + STRIDE * row, first + STRIDE * column
            found += [[y - h, x - w, y + h, x + w] for h, w in ((8, 8), (4, 12))]
    return np.array(found, np.float32) / SIDE


def mirrored_places(values: np.ndarray) -> np.ndarray:
    """(B, 16, K) in the order of the anchors' mirror images."""
    return values.reshape(-1, 2, 4, 2, values.shape[-1])[:, :, ::-1].reshape(values.shape)


@pytest.fixture
def predicted() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    plain, other = (random.normal(size=(3, 16, 4)).astype(np.float32) for _ in range(2))
    return plain, other


def test_logits_of_an_anchor_are_the_mean_with_those_of_its_mirror_image(predicted):
    plain, other = predicted
    found = mean_with_mirrored(plain, other, tf.constant(anchors(8)), [(2, 4)], boxes=False)
    assert np.allclose(found, (plain + mirrored_places(other)) / 2)


def test_a_box_that_lies_to_the_right_there_lies_to_the_left_here(predicted):
    plain, other = predicted
    found = mean_with_mirrored(plain, other, tf.constant(anchors(8)), [(2, 4)], boxes=True)
    assert np.allclose(found, (plain + mirrored_places(other) * [1, -1, 1, 1]) / 2)


def test_anchors_without_a_mirror_image_have_their_own_predictions_alone(predicted):
    plain, other = predicted
    found = mean_with_mirrored(plain, other, tf.constant(anchors(0)), [(2, 4)], boxes=True)
    assert np.array_equal(found, plain)


def test_only_models_of_one_stage_have_it():
    assert mirroring("mobilenet") == {"flip_test": [False, True]}
    with pytest.raises(UserError, match=r"faster_rcnn_50: .*leave out --flip"):
        mirroring("faster_rcnn_50")


@pytest.mark.slow(40)
def test_a_mirror_image_has_the_mirrored_predictions(tiny_recipe):
    """At a side that all strides divide, so that all anchors have a mirror image."""
    from trainers.object_detection_api import compat, pipeline_config

    compat.install()
    from trainers.object_detection_api.model import DetectionModel, learning_phase

    recipe = recipes.build(tiny_recipe.to_dict() | {"image_size": 256})
    model = DetectionModel(pipeline_config.model_proto(recipe, 3), 256, flip_test=True)
    random = np.random.default_rng(0)
    for kernel in (
        each for each in model.trainable_variables if each.shape.rank > 1
    ):  # as if it had been trained
        fan = np.prod(
            kernel.shape[: 2 if kernel.shape[-1] == 1 else 3]
        )  # of a depthwise kernel, and of others
        kernel.assign(random.normal(0, (2 / fan) ** 0.5, kernel.shape))
    images = tf.constant(random.normal(size=(1, 256, 256, 3)).astype(np.float32))
    shapes = tf.constant([[256, 256, 3]])
    with learning_phase(False):
        here, there = (model.predict(each, shapes) for each in (images, tf.reverse(images, [2])))
        alone = model._predict(images, shapes, training=False)
    logits = "class_predictions_with_background"
    assert np.allclose(np.sort(here[logits], axis=None), np.sort(there[logits], axis=None), atol=1e-3)
    for place, sign in enumerate((1, -1, 1, 1)):
        one, other = (np.asarray(each["box_encodings"])[..., place] for each in (here, there))
        assert np.allclose(np.sort(one, axis=None), np.sort(sign * other, axis=None), atol=1e-3)
    assert not np.allclose(here[logits], alone[logits], atol=1e-2)
