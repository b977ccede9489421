"""Large photographs are shrunk to what a recipe can use, once, and their boxes stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from trainers import recipe as recipes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api():
    from trainers.object_detection_api import compat

    compat.install()


def detail_for(recipe):
    from trainers.object_detection_api.input_pipeline.detail import detail_of
    from trainers.object_detection_api.pipeline_config import model_proto

    return detail_of(recipe, model_proto(recipe, 1))


def test_the_shorter_side_is_kept_as_large_as_the_input_times_the_zoom(api, tiny_recipe):
    whole = detail_for(tiny_recipe.replace(augmentations=()))
    assert (whole.side, whole.longer) == (160, False)
    cropped = detail_for(tiny_recipe)  # down to half of the area
    assert cropped.side == 227
    similar = {"name": "random_crop_image", "options": {"min_area": 0.6}}
    assert detail_for(tiny_recipe.replace(augmentations=(similar,))) == cropped
    pixels = {"name": "random_jpeg_quality"}
    assert detail_for(tiny_recipe.replace(augmentations=(pixels,))) is None


def test_it_is_the_longer_side_where_the_input_keeps_the_images_shape(api):
    from trainers.model import get

    fields = {"model": "efficientdet", **get("efficientdet").presets["laptop"], "augmentations": []}
    found = detail_for(recipes.build(fields))
    assert (found.side, found.longer) == (fields["image_size"], True)


@pytest.mark.parametrize(
    ("shape", "longer", "expected"),
    [
        ((600, 800), False, (100, 134)),
        ((800, 600), False, (134, 100)),
        ((600, 800), True, (75, 100)),
        ((120, 800), False, (120, 800)),  # hardly larger: not worth a loss of sharpness
        ((60, 80), False, (60, 80)),
    ],
)
def test_an_image_keeps_its_shape_and_is_never_enlarged(api, shape, longer, expected):
    import tensorflow as tf

    from trainers.object_detection_api.input_pipeline.detail import Detail

    found = Detail(100, longer).shrunk(tf.zeros([*shape, 3], tf.uint8))
    assert (*found.shape[:2],) == expected
    assert found.dtype == tf.uint8


def test_fine_stripes_become_their_average_instead_of_a_pattern(api):
    import tensorflow as tf

    from trainers.object_detection_api.input_pipeline.detail import Detail

    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(Detail(100).shrunk(tf.constant(stripes)), np.full((100, 100, 3), 100))


@pytest.fixture(scope="module")
def part(tiny_city, tmp_path_factory):
    """One image of 900 x 600 px with a box, as a part of a dataset."""
    import cv2
    import tensorflow as tf

    from trainers.datasets.dataset import Part

    image = np.full((600, 900, 3), 255, np.uint8)
    image[150:450, 300:600] = 0
    feature = tf.train.Feature
    floats = {"ymin": 0.25, "xmin": 1 / 3, "ymax": 0.75, "xmax": 2 / 3}
    values = {f"image/object/bbox/{name}": feature(float_list={"value": [v]}) for name, v in floats.items()}
    values["image/encoded"] = feature(bytes_list={"value": [cv2.imencode(".png", image)[1].tobytes()]})
    values["image/format"] = feature(bytes_list={"value": [b"png"]})
    values["image/object/class/label"] = feature(int64_list={"value": [1]})
    file = tmp_path_factory.mktemp("part") / "0.tfrecord"
    with tf.io.TFRecordWriter(str(file)) as out:
        out.write(tf.train.Example(features={"feature": values}).SerializeToString())
    return Part((file,), 1)


def test_boxes_are_where_they_were_however_an_example_is_kept(api, part, tmp_path):
    from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache
    from trainers.object_detection_api.input_pipeline.detail import Detail
    from trainers.object_detection_api.input_pipeline.examples import Fields, examples_of, in_order

    store = DecodedImageCache(tmp_path)
    for limit, kept_in in ((10**6, None), (1, store), (1, None)):
        examples = examples_of(part, 1, limit, kept_in, "photographs", Detail(100))
        found = next(in_order(examples, 0, 0).map(examples.example).as_numpy_iterator())
        assert found[Fields.image].shape == (100, 150, 3)
        np.testing.assert_allclose(found[Fields.groundtruth_boxes], [[0.25, 1 / 3, 0.75, 2 / 3]], atol=1e-6)
        dark = np.argwhere(found[Fields.image][..., 0] < 128)
        np.testing.assert_allclose((dark.min(0), dark.max(0) + 1), ((25, 50), (75, 100)), atol=1)


def test_only_the_sizes_that_were_used_last_stay_in_memory(api, part):
    from trainers.object_detection_api.input_pipeline.detail import Detail
    from trainers.object_detection_api.input_pipeline.example_sets import ExampleSets

    sets = ExampleSets(part, "fingerprint", threads=1, limit=100 * 150 * 3 + 200 * 300 * 3)
    small, large = sets.at(Detail(100)), sets.at(Detail(200))
    assert sets.at(Detail(100)) is small
    sets.at(Detail(90))
    assert sets.at(Detail(100)) is small
    assert sets.at(Detail(200)) is not large
