"""Post-processing: tuned on kept detections, measured on images that it was not tuned on."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.detection import threshold
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.postprocessing.settings import Postprocessing, best_first
from trainers.detection.postprocessing.tuning import tune
from trainers.errors import UserError

CLASSES = ("car", "cyclist")
BOX = np.array([10.0, 10.0, 30.0, 30.0])
NEAR, FAR = BOX + np.array([0, 5, 0, 5]), BOX + np.array([0, 60, 0, 60])  # IoU of NEAR with BOX: .6


def image(true: list[tuple[np.ndarray, int]], found: list[tuple[np.ndarray, int, float]]) -> ImageResult:
    boxes, labels = [box for box, _ in true], [label for _, label in true]
    return ImageResult(
        100, 200, np.array(boxes).reshape(-1, 4), np.array(labels, int), np.zeros(len(true), bool),
        np.array([box for box, _, _ in found]).reshape(-1, 4), np.array([label for _, label, _ in found], int),
        np.array([score for _, _, score in found], np.float32),
    )  # fmt: skip


def street(count: int = 20, seed: int = 0) -> list[ImageResult]:
    """Cars are right from .6 on, cyclists from .2 on: no single threshold suits both."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        right_car, wrong_car = rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.55)
        right_cyclist, wrong_cyclist = rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.15)
        images.append(
            image(
                [(BOX, 0), (FAR, 1)],
                [(BOX, 0, right_car), (FAR, 0, wrong_car), (FAR, 1, right_cyclist), (BOX, 1, wrong_cyclist)],
            )
        )
    return images


def test_a_threshold_for_each_class_gains_where_the_classes_need_different_ones():
    found = tune(street(), CLASSES)
    car, cyclist = found.settings.thresholds
    assert 0.5 < car <= 0.6
    assert 0.1 < cyclist <= 0.25
    assert found.after == pytest.approx(1.0, abs=0.02)
    assert found.gained
    assert found.before < 0.9
    assert found.low <= found.gain <= found.high
    assert (found.settings.iou, found.settings.most) == (None, None)


def test_nothing_is_gained_where_scores_say_nothing_and_the_report_says_so():
    rng = np.random.default_rng(1)
    images = [
        image([(BOX, int(label))], [(BOX if rng.random() < 0.5 else FAR, int(label), rng.random())])
        for label in rng.integers(0, 2, 40)
    ]
    found = tune(images, CLASSES)
    assert not found.gained
    assert "nothing gained beyond chance" in found.lines()[-1]


def test_the_single_threshold_is_the_one_that_an_export_has():
    images = street()
    assert tune(images, CLASSES).threshold == threshold.best_f1(images, len(CLASSES))


def test_suppression_gains_where_each_object_is_found_twice():
    rng, images = np.random.default_rng(0), []
    for _ in range(40):
        score, more = rng.uniform(0.4, 0.9), rng.random() < 0.5
        images.append(
            image(
                [(BOX, 0), *([(FAR, 0)] if more else [])],
                [(BOX, 0, score), (NEAR, 0, score - 0.05), *([(FAR, 0, score - 0.1)] if more else [])],
            )
        )
    found = tune(images, CLASSES)
    assert found.settings.iou == 0.5
    assert found.gained


@pytest.mark.parametrize(
    ("iou", "most", "left"),
    [(None, None, [2, 0, 1, 3]), (0.5, None, [2, 0, 3]), (0.7, None, [2, 0, 1, 3]), (0.5, 2, [2, 0]), (None, 1, [2])],
)  # fmt: skip
def test_what_is_left_of_an_images_detections(iou, most, left):
    boxes, classes = np.stack([BOX, NEAR, FAR, NEAR]), np.array([0, 0, 0, 1])
    scores = np.array([0.8, 0.7, 0.9, 0.6])
    assert best_first(boxes, classes, scores, iou, most).tolist() == left
    kept = Postprocessing((0.75, 0.1), iou, most).kept(boxes, classes, scores)
    assert kept.tolist() == [place for place in left if place != 1]


def test_no_detection_is_no_error():
    nothing = Postprocessing((0.5,), 0.5, 3).kept(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    assert nothing.tolist() == []
    found = tune([image([(BOX, 0)], []) for _ in range(12)], CLASSES)
    assert (found.before, found.after, found.gained) == (0.0, 0.0, False)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([image([(BOX, 0)], [(BOX, 0, 0.9)])] * 5, "5 validation images, and at least 10 are needed"),
        ([image([], [(BOX, 0, 0.9)])] * 12, "no labelled object"),
    ],
)
def test_too_little_to_tune_on_is_refused(images, message):
    with pytest.raises(UserError, match=message):
        tune(images, CLASSES)
