"""What training and evaluation make of crowds, weights, difficult objects, and images of more than 100 objects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from trainers.datasets.dataset import Dataset, Part
from trainers.datasets.label_map import write_label_map
from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.tfrecords import TFRecordWriter

pytestmark = pytest.mark.slow(60)

SIDE = 160


def image(number: int, boxes: int, **fields: tuple) -> CheckedImage:
    """A grey image with boxes of 8 x 8 pixels side by side."""
    png = cv2.imencode(".png", np.full((SIDE, SIDE, 3), 40 * number % 256, np.uint8))[1].tobytes()
    corners = np.array([divmod(place, 16) for place in range(boxes)], np.float32) * 10
    no = (False,) * boxes
    given = {"difficult": no, "crowd": no} | fields
    return CheckedImage(
        f"{number}.png", png, "png", SIDE, SIDE,
        np.concatenate([corners, corners + 8], axis=1) / SIDE, (1,) * boxes, **given,
    )  # fmt: skip


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Dataset:
    """Of the validation images, one has 150 objects; of the training images, all are crowds but one."""
    folder = tmp_path_factory.mktemp("crowded")
    flags = {"crowd": (True, False, False), "weights": (1.0, 0.0, 0.5), "areas": (64.0, 40.0, 64.0)}
    images = {
        "train": [image(0, 3, **flags), image(1, 3, **flags)],
        "validation": [image(2, 150), image(3, 3, **flags), image(4, 2, difficult=(True, False))],
    }
    parts = {}
    for name, some in images.items():
        with TFRecordWriter(folder / f"{name}.tfrecord") as shard:
            for each in some:
                shard.write(each.encode(("car",)))
        parts[name] = Part((shard.path,), shard.records)
    write_label_map(folder / "label_map.pbtxt", ("car",))
    return Dataset("crowded", str(folder), ("car",), parts["train"], parts["validation"], "c0de")


@pytest.fixture(scope="module")
def crowded_trainer(crowded, tiny_recipe):
    from trainers.object_detection_api.trainer import DetectorTrainer

    trainer = DetectorTrainer(crowded)
    trainer.start(tiny_recipe.replace(augmentations=[]))
    return trainer


def test_a_crowd_has_weight_0_in_training_and_other_objects_their_own(crowded_trainer):
    batch = next(crowded_trainer._prepare_training())
    weights = batch["weights"].numpy()
    np.testing.assert_array_equal(weights[:, :3], [[0, 0, 0.5]] * 2)
    assert not weights[:, 3:].any()


def test_every_object_of_a_validation_image_is_evaluated_as_the_records_have_it(crowded_trainer, crowded):
    results = crowded_trainer.evaluate().results
    assert [len(each.true_boxes) for each in results] == [150, 3, 2]
    np.testing.assert_allclose(results[0].true_boxes[-1], [90, 50, 98, 58], rtol=1e-5)
    assert results[1].crowd.tolist() == [True, False, False]
    assert results[1].counted.tolist() == [False, False, True]
    assert results[1].areas.tolist() == [64, 40, 64]
    assert results[2].counted.tolist() == [False, True]
    assert "max_number_of_boxes: 200" in crowded_trainer.files()["pipeline.config"]


def test_the_validation_loss_is_of_all_objects_too(crowded_trainer):
    [batch, _] = crowded_trainer._validation_batches(3)
    np.testing.assert_array_equal(batch["weights"].numpy().sum(axis=1), [150, 0.5])
    whole = crowded_trainer._graph.evaluate(batch, crowded_trainer._loss_weights)[0]["localization"]
    weights = np.where(np.arange(200) < 100, batch["weights"].numpy(), 0)
    cut = crowded_trainer._graph.evaluate(batch | {"weights": weights}, crowded_trainer._loss_weights)[0]
    assert float(whole) != pytest.approx(float(cut["localization"]), rel=1e-6)


def test_only_some_of_the_images_are_matched_with_their_own_truth(crowded_trainer, monkeypatch):
    from trainers.object_detection_api import trainer as module

    seen, real = [], module.image_results
    monkeypatch.setattr(
        module,
        "image_results",
        lambda batch, found, truths: seen.append(truths) or real(batch, found, truths),
    )
    crowded_trainer.evaluate(images=1)
    assert [len(each.classes) for each in seen[0]] == [2]
