from typing import Any

import numpy as np
import pytest
from test_augmentations import REQUIRED
from test_pipeline_config import FULL

from trainers.augmentations import Augmentation
from trainers.augmentations.table import AUGMENTATIONS
from trainers.object_detection_api import compat

pytestmark = pytest.mark.slow

CASES = [(name, REQUIRED.get(name, {})) for name in AUGMENTATIONS]
CASES += [(name, options) for name, options in FULL.items() if name not in REQUIRED]


def augmented(name: str, options: dict[str, Any], seeds: int) -> list[dict[str, np.ndarray]]:
    """An image with two boxes after the augmentation, in a tf.data pipeline as training has it, for each seed."""
    compat.install()
    import tensorflow as tf
    from object_detection import inputs

    from trainers.object_detection_api import pipeline_config
    from trainers.object_detection_api.input_pipeline import augmentation_builder
    from trainers.object_detection_api.input_pipeline.seeded_augmentation import seeded

    step = pipeline_config.augmentation_proto(Augmentation(name=name, options=options))
    function = augmentation_builder.build(step)
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)

    @tf.autograph.experimental.do_not_convert  # as the input pipeline has it
    def augment(index: Any) -> Any:
        example = {
            "image": tf.constant(image),
            "groundtruth_boxes": tf.constant([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.9]]),
            "groundtruth_classes": tf.constant([1, 2], tf.int64),
            "groundtruth_weights": tf.ones([2]),
        }
        if name == "convert_class_logits_to_softmax":
            example["multiclass_scores"] = tf.ones([2, 3])
        with seeded(tf.stack([index, index])):
            return inputs.augment_input_data(example, [function])

    dataset = tf.data.Dataset.range(seeds).map(augment)
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_augmentation_runs_in_the_input_pipeline(name: str, options: dict[str, Any]):
    for result in augmented(name, options, seeds=5):
        assert result["image"].ndim == 3
        assert result["image"].shape[-1] == (1 if name == "rgb_to_gray" else 3)
        assert result["image"].size > 0
        assert np.isfinite(result["image"]).all()
        boxes = result["groundtruth_boxes"]
        assert boxes.shape == (len(result["groundtruth_classes"]), 4)
        assert np.isfinite(boxes).all()


def test_channel_means_are_subtracted_from_their_channels():
    plain = augmented("resize_image", {"new_height": 60, "new_width": 80}, seeds=1)[0]["image"]
    shifted = augmented("subtract_channel_mean", {"means": [1, 2, 3]}, seeds=1)[0]["image"]
    np.testing.assert_allclose(plain - shifted, np.broadcast_to([1.0, 2.0, 3.0], plain.shape), atol=1e-4)


def test_each_of_several_crops_is_drawn():
    def crop(kept_whole: float, area: float) -> dict[str, Any]:
        return {
            "min_object_covered": 0.0,
            "min_aspect_ratio": 0.9,
            "max_aspect_ratio": 1.1,
            "min_area": area - 0.04,
            "max_area": area + 0.04,
            "overlap_thresh": 0.0,
            "random_coef": kept_whole,
        }

    operations = [crop(1.0, 0.5), crop(0.0, 0.1), crop(0.0, 0.4)]
    seen = augmented("ssd_random_crop", {"operations": operations}, seeds=30)
    areas = {round(result["image"].shape[0] * result["image"].shape[1] / (60 * 80), 1) for result in seen}
    assert areas == {1.0, 0.1, 0.4}


def test_what_contrib_did_to_images_is_done_to_them():
    compat.install()
    import tensorflow as tf

    from trainers.object_detection_api.input_pipeline import augmentation_builder as here

    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3) + 1
    tensor = tf.constant(image)
    np.testing.assert_array_equal(here._rotate(tensor, np.pi / 2), np.rot90(image))
    moved = here._translate(tensor, [2, -1]).numpy()
    np.testing.assert_array_equal(moved[:4, 2:], image[1:, :3])
    assert not moved[4:].any()
    assert not moved[:, :2].any()
    sheared = here._transform(tensor, [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).numpy()
    for row in range(5):  # as PIL's affine transform: pixel x of a row comes from x + row
        np.testing.assert_array_equal(sheared[row, : 5 - row], image[row, row:])
        assert not sheared[row, 5 - row :].any()
