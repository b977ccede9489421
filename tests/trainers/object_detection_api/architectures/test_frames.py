"""Boxes of images that are padded to the network's square input: detections lie where the network puts them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainers import model as models
from trainers import recipe as recipes
from trainers.detection.truth import Truth

SIZE = 160
DETECTORS = ("efficientdet", "retinanet_family", "mobilenet", "faster_rcnn_50")


@pytest.mark.slow(25)
@pytest.mark.parametrize("detector", DETECTORS)
def test_detections_are_raw_boxes_cut_off_at_the_edge_of_the_image(detector):
    """The image is the upper half of the input. Raw boxes and detections are normalised to the input."""
    from trainers.object_detection_api import compat, pipeline_config

    compat.install()
    from trainers.object_detection_api.model import DetectionModel, learning_phase

    size = max(SIZE, models.get(detector).min_image_size)
    recipe = recipes.build({"model": detector, **models.get(detector).presets["laptop"], "image_size": size})
    model = DetectionModel(pipeline_config.model_proto(recipe, 3), size)
    image = tf.random.stateless_normal([1, size, size, 3], [1, 2])
    half = tf.constant([[size // 2, size, 3]])
    with learning_phase(False):
        found = model.postprocess(model.predict(image, half), half)
    count = int(found["num_detections"][0])
    boxes, raw = (found[name].numpy()[0] for name in ("detection_boxes", "raw_detection_boxes"))
    inside = np.clip(raw, 0.0, [0.5, 1.0, 0.5, 1.0])
    assert count > 0
    far = np.abs(boxes[:count, np.newaxis] - inside[np.newaxis]).max(axis=2).min(axis=1)
    assert far.max() < 1e-3


def test_detections_of_a_padded_image_are_in_its_own_pixels():
    """An image of 400 x 200 px fills the left half of the input, 160 x 80 px of 160 x 160."""
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.object_detection_api.image_results import image_results

    batch = {
        "image": tf.zeros([1, SIZE, SIZE, 3]),
        "true_image_shape": tf.constant([[160, 80, 3]]),
        "original_shape": tf.constant([[400, 200]]),
    }
    box = np.array([[40.0, 20.0, 120.0, 60.0]]) / SIZE  # of the input
    found = {
        "boxes": tf.constant(box[np.newaxis], tf.float32),
        "scores": tf.constant([[0.9]]),
        "classes": tf.constant([[1.0]]),
        "count": tf.constant([1]),
    }
    no = np.array([False])
    truth = Truth(np.array([[0.25, 0.25, 0.75, 0.75]]), np.array([1]), crowd=no, ignored=no, areas=None)
    (result,) = image_results(batch, found, [truth])
    np.testing.assert_allclose(result.boxes, [[100.0, 50.0, 300.0, 150.0]])
    np.testing.assert_allclose(result.boxes, result.true_boxes)
