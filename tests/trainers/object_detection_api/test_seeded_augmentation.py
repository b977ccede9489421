"""Every augmentation of the API draws from the example's seed and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from test_augmentations import REQUIRED

from trainers.augmentations import Augmentation
from trainers.augmentations.table import AUGMENTATIONS

pytestmark = pytest.mark.slow

STATEFUL = {
    "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomShuffle", "Multinomial",
    "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2",
}  # fmt: skip


@pytest.fixture(scope="module")
def augmented(tiny_city):
    """A traced function of a seed that augments one image of the city by one augmentation."""
    from trainers.object_detection_api import compat

    compat.install()
    import tensorflow as tf
    from object_detection import inputs

    from trainers.object_detection_api import pipeline_config
    from trainers.object_detection_api.input_pipeline import augmentation_builder, examples
    from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded

    record = next(iter(tf.data.TFRecordDataset([str(f) for f in tiny_city.train.files])))
    decoded = examples.decoded(record)

    def make(name: str):
        step = pipeline_config.augmentation_proto(Augmentation(name=name, options=REQUIRED.get(name, {})))
        options = [augmentation_builder.build(step)]

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([2], tf.int64)])
        def function(seed):
            tensors = {key: tf.identity(value) for key, value in decoded.items()}
            with seeded(seed):
                result = inputs.augment_input_data(tensors, options)
            return result["image"], result["groundtruth_boxes"]

        return function

    return make


def without(*names: str) -> list[str]:
    return [name for name in AUGMENTATIONS if name not in names]


# these read what a record does not have: logits of a teacher
@pytest.mark.parametrize("name", without("convert_class_logits_to_softmax"))
def test_an_augmentation_draws_from_its_seed_alone(augmented, name):
    function = augmented(name)
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert not {node.op for node in nodes} & STATEFUL

    image, boxes = function(np.array([5, 1], np.int64))
    again, boxes_again = function(np.array([5, 1], np.int64))
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(boxes, boxes_again)


def test_another_seed_draws_otherwise(augmented):
    function = augmented("random_adjust_brightness")
    images = [function(np.array([0, index], np.int64))[0].numpy() for index in range(4)]
    assert len({image.tobytes() for image in images}) == 4


def test_the_apis_own_callers_still_draw_from_the_process(augmented):
    import tensorflow as tf
    from object_detection.core import preprocessor

    augmented("random_adjust_brightness")(np.array([0, 0], np.int64))
    image = tf.fill([1, 8, 8, 3], 100.0)
    draws = {preprocessor.random_adjust_brightness(image[0])[0, 0, 0].numpy() for _ in range(5)}
    assert len(draws) > 1
