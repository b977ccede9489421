"""What a trial found is read back as it was, and gives the mAP that was measured."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.detection import coco_metrics
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.task import DETECTION
from trainers.errors import UserError

CLASSES = ("vehicle", "pedestrian")


def city(seed: int, images: int = 12) -> list[ImageResult]:
    """Images of up to 5 boxes, each found a little off, with up to 3 false ones; some have none at all."""
    rng = np.random.default_rng(seed)
    results = []
    for index in range(images):
        height, width = int(rng.integers(80, 200)), int(rng.integers(80, 200))
        count, false = (0, 0) if index == 3 else (int(rng.integers(0, 6)), int(rng.integers(0, 4)))
        corner = rng.uniform(0, 0.6, (count + false, 2))
        boxes = np.hstack([corner, corner + rng.uniform(0.1, 0.4, (count + false, 2))]) * (
            [height, width] * 2
        )
        labels = rng.integers(0, 2, count + false)
        results.append(
            ImageResult(
                height=height,
                width=width,
                true_boxes=boxes[:count],
                true_classes=labels[:count],
                crowd=rng.random(count) < 0.1,
                boxes=boxes + rng.normal(0, 2, boxes.shape),
                classes=labels,
                scores=rng.uniform(0, 1, count + false).astype(np.float32),
            )
        )
    return results


@pytest.fixture
def trial(tmp_path):
    folder = tmp_path / "street" / "trials" / "3"
    folder.mkdir(parents=True)
    return folder


def test_what_was_found_at_each_rung_is_read_back_and_gives_the_same_numbers(trial):
    for step in (10, 30):
        DETECTION.write_results(trial, step, city(step, 12) if step == 10 else _found_again(city(10), 0.5))
    for step, expected in ((10, city(10)), (30, _found_again(city(10), 0.5))):
        read = DETECTION.read_results(trial, step)
        assert [(each.height, each.width) for each in read] == [
            (each.height, each.width) for each in expected
        ]
        for ours, theirs in zip(read, expected, strict=True):
            for name in ("true_boxes", "true_classes", "crowd", "boxes", "classes", "scores"):
                np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
        assert coco_metrics.evaluate(read, CLASSES) == coco_metrics.evaluate(expected, CLASSES)


def _found_again(results: list[ImageResult], shift: float) -> list[ImageResult]:
    return [
        ImageResult(
            each.height, each.width, each.true_boxes, each.true_classes, each.crowd,
            each.boxes + shift, each.classes, each.scores,
        )
        for each in results
    ]  # fmt: skip


def test_a_trial_that_found_nothing_at_all_is_read_back_too(trial):
    nothing = [
        ImageResult(
            each.height, each.width, each.true_boxes, each.true_classes, each.crowd,
            np.zeros((0, 4)), np.zeros(0, int), np.zeros(0),
        )
        for each in city(1)
    ]  # fmt: skip
    DETECTION.write_results(trial, 10, nothing)
    read = DETECTION.read_results(trial, 10)
    assert len(read) == len(nothing)
    assert coco_metrics.evaluate(read, CLASSES) == coco_metrics.evaluate(nothing, CLASSES)


def test_what_was_never_kept_is_empty_and_what_is_damaged_is_named(trial):
    assert DETECTION.read_results(trial, 10) == []
    DETECTION.write_results(trial, 10, [])
    assert list(trial.iterdir()) == []
    DETECTION.write_results(trial, 10, city(1))
    file = trial / "detections-10.npz"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"detections-10\.npz: is damaged"):
        DETECTION.read_results(trial, 10)


def test_detections_of_other_images_are_refused(trial):
    DETECTION.write_results(trial, 10, city(1))
    DETECTION.write_results(trial, 30, city(1, images=13))
    with pytest.raises(UserError, match="does not belong to the images of"):
        DETECTION.read_results(trial, 30)
