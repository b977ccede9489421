"""Batch normalisation in evaluation has the statistics of all images together, and they are of everywhere in a part."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.datasets.dataset import Part
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import TFRecordWriter

pytestmark = pytest.mark.slow(25)

NIGHT, DAY = 20, 230


@pytest.fixture(scope="module", autouse=True)
def _api():
    from trainers.object_detection_api import compat

    compat.install()


@pytest.fixture(scope="module")
def sorted_part(tmp_path_factory) -> Part:
    """1,000 grey images of one shard, of which the first 100 were taken at night."""
    import cv2

    path = tmp_path_factory.mktemp("sorted") / "train.tfrecord-00000-of-00001"
    with TFRecordWriter(path) as shard:
        for index in range(1000):
            grey = np.full((16, 16, 3), NIGHT if index < 100 else DAY, np.uint8)
            png = cv2.imencode(".png", grey)[1].tobytes()
            box = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)
            image = CheckedImage(f"{index}.png", png, "png", 16, 16, box, (1,), (False,), (False,))
            shard.write(image.encode(("vehicle",)))
    return Part((path,), 1000)


def layers_on(values: np.ndarray, fused: bool):
    """A batch normalisation, called once, and its Statistics over batches with `values` as their images."""
    import tf_keras

    from trainers.keras_training.batch_norm.statistics import Statistics

    layer = tf_keras.layers.BatchNormalization(momentum=0.9, fused=fused)
    layer(values[0])
    return layer, Statistics([layer], lambda batch: layer(batch, training=True)), list(values)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_mean_and_variance_are_those_of_all_values_at_any_batch_size(batch_size, fused):
    random = np.random.default_rng(0)
    images = random.normal(random.normal(0, 3, (24, 1, 1, 5)), 1.5, (24, 2, 3, 5)).astype(np.float32)
    layer, statistics, batches = layers_on(images.reshape(-1, batch_size, 2, 3, 5), fused)
    before = [value.numpy() for value in (layer.moving_mean, layer.moving_variance)]
    with statistics.in_place(batches):
        np.testing.assert_allclose(layer.moving_mean, images.mean(axis=(0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, images.var(axis=(0, 1, 2)), rtol=1e-5)
    for value, left in zip((layer.moving_mean, layer.moving_variance), before, strict=True):
        np.testing.assert_array_equal(value.numpy(), left)


def test_a_layer_that_is_called_twice_has_the_statistics_of_both_calls():
    import tf_keras

    from trainers.keras_training.batch_norm.statistics import Statistics

    layer = tf_keras.layers.BatchNormalization()
    values = np.random.default_rng(1).normal(2, 3, (3, 4, 6, 2, 2)).astype(np.float32)

    def forward(image):
        layer(image[:, :1], training=True)
        layer(image[:, 1:], training=True)

    layer(values[0])
    statistics = Statistics([layer], forward)
    with statistics.in_place(list(values)):
        np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, values.var(axis=(0, 1, 2, 3)), rtol=1e-5)


def test_a_forward_whose_layers_cannot_be_seen_is_refused():
    import tensorflow as tf
    import tf_keras

    from trainers.keras_training.batch_norm.statistics import Statistics

    layer = tf_keras.layers.BatchNormalization()
    values = np.ones((2, 3, 3, 1), np.float32)
    traced = tf.function(lambda batch: layer(batch, training=True))
    traced(values)
    with (
        pytest.raises(RuntimeError, match="must not be a"),
        Statistics([layer], traced).in_place([values]),
    ):
        pass


@pytest.mark.parametrize("batch_size", [2, 5, 48])
def test_the_images_of_the_estimate_and_of_each_batch_are_from_everywhere_in_the_part(
    sorted_part, tiny_recipe, batch_size
):
    import tensorflow as tf

    from trainers.object_detection_api import pipeline_config
    from trainers.object_detection_api.input_pipeline import batches

    def resized(image):
        return tf.image.resize(image, [160, 160]), tf.constant([[160, 160, 3]])

    config = pipeline_config.pipeline_proto(
        tiny_recipe, ("vehicle",), train_files=[], validation_files=[], label_map=sorted_part.files[0]
    )

    def read() -> np.ndarray:
        made = batches.clean_batches(sorted_part, config, resized, batch_size, 1, 48)
        return np.stack([batch["image"].numpy().mean(axis=(1, 2, 3)) for batch in made])

    brightness = read()
    assert brightness.size == -(-48 // batch_size) * batch_size
    assert brightness.mean() == pytest.approx(209, abs=5)
    assert (brightness.mean(axis=1) > 100).all()
    np.testing.assert_array_equal(brightness, read())
