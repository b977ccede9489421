"""Training examples are the same whether they are kept in memory or read again, and as the API itself makes them."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def both(tiny_city):
    from trainers.object_detection_api import compat

    compat.install()
    from trainers.object_detection_api.input_pipeline.examples import (
        CachedExamples,
        StreamedExamples,
        examples_of,
    )

    kept = examples_of(tiny_city.train, threads=2)
    read = examples_of(tiny_city.train, threads=2, limit=1000)
    assert isinstance(kept, CachedExamples)
    assert isinstance(read, StreamedExamples)
    return kept, read


@pytest.fixture
def stored(tiny_city, both, tmp_path):
    from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache
    from trainers.object_detection_api.input_pipeline.examples import CachedExamples, examples_of

    examples = examples_of(tiny_city.train, 2, limit=1000, store=DecodedImageCache(tmp_path), key="city")
    assert isinstance(examples, CachedExamples)
    assert len(list((tmp_path / "city").iterdir())) == tiny_city.train.images + 1
    return examples


def test_kept_stored_and_read_examples_are_equal_and_in_the_same_order_from_any_step_on(both, stored):
    from trainers.object_detection_api.input_pipeline.examples import in_order

    for first in (0, 5, 12, 31):
        kept, read, filed = (
            [*in_order(one, 3, first).map(one.example).take(15).as_numpy_iterator()]
            for one in (*both, stored)
        )
        for mine, other, third in zip(kept, read, filed, strict=True):
            assert mine.keys() == other.keys() == third.keys()
            for name in mine:
                np.testing.assert_array_equal(mine[name], other[name])
                np.testing.assert_array_equal(mine[name], third[name])


def test_stored_examples_keep_their_files_and_without_a_place_for_them_are_read(tiny_city, stored, tmp_path):
    from trainers.object_detection_api.input_pipeline.decoded_image_cache import DecodedImageCache
    from trainers.object_detection_api.input_pipeline.examples import StreamedExamples, examples_of

    large = sum(file.stat().st_size for file in (tmp_path / "city").iterdir())
    assert DecodedImageCache(tmp_path, limit=large).folder("other", 1, lambda folder: None) is None
    assert (tmp_path / "city").is_dir()
    (tmp_path / "file").touch()
    nowhere = DecodedImageCache(tmp_path / "file" / "folder")
    assert isinstance(
        examples_of(tiny_city.train, 2, limit=1000, store=nowhere, key="city"), StreamedExamples
    )


def test_an_epoch_holds_every_example_once_and_the_next_is_in_another_order(both, tiny_city):
    from trainers.object_detection_api.input_pipeline.examples import in_order

    count = tiny_city.train.images
    places = [int(place) for place in in_order(both[0], 3, 0).take(2 * count)]
    assert sorted(places[:count]) == sorted(places[count:]) == list(range(count))
    assert places[:count] != places[count:]


def test_batches_are_what_the_apis_own_functions_make_of_the_records(both, trainer, tiny_recipe):
    import tensorflow as tf
    from object_detection import inputs
    from object_detection.builders import image_resizer_builder

    from trainers.object_detection_api.input_pipeline import augmentation_builder
    from trainers.object_detection_api.input_pipeline.examples import Fields, as_written, decoded, in_order
    from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded

    read = both[1]
    trainer.start(tiny_recipe)
    config, batch = trainer._config, next(trainer._training_batches())
    steps = [augmentation_builder.build(step) for step in config.train_config.data_augmentation_options]

    @as_written
    def by_the_api(index, record):
        with seeded(tf.stack([tf.constant(tiny_recipe.seed << 20, tf.int64), index])):
            return inputs.transform_input_data(
                decoded(record),
                model_preprocess_fn=trainer._graph.detector.model.preprocess,
                image_resizer_fn=image_resizer_builder.build(config.model.ssd.image_resizer),
                num_classes=config.model.ssd.num_classes,
                data_augmentation_fn=lambda tensors: inputs.augment_input_data(tensors, steps),
            )

    records = in_order(read, tiny_recipe.seed, 0).enumerate().map(by_the_api)
    for i, expected in enumerate(records.take(tiny_recipe.batch_size).as_numpy_iterator()):
        count = len(expected[Fields.groundtruth_boxes])
        np.testing.assert_allclose(batch["image"][i], expected[Fields.image], atol=1e-4)
        np.testing.assert_allclose(batch["boxes"][i][:count], expected[Fields.groundtruth_boxes], atol=1e-6)
        np.testing.assert_array_equal(batch["classes"][i][:count], expected[Fields.groundtruth_classes])
        assert batch["weights"][i].numpy().sum() == count
