"""Our evaluation gives pycocotools' numbers."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from trainers.detection.coco_metrics import COCO_NAMES, ImageResult, detections, evaluate, ground_truth

CLASSES = ("vehicle", "pedestrian", "cyclist")


def random_images(seed: int, count: int = 30) -> list[ImageResult]:
    """Detections near the truth, away from it and of the wrong class, over all of COCO's sizes, some of them crowds."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        labelled = random.integers(0, 6)
        corners = random.uniform(0, 300, (labelled, 2))
        truth = np.concatenate([corners, corners + random.uniform(5, 200, (labelled, 2))], axis=1)
        near = truth + random.normal(0, 6, truth.shape)
        stray = random.uniform(0, 300, (3, 2))
        found = np.concatenate([near, np.concatenate([stray, stray + 40], axis=1)])
        labels = random.integers(0, 3, labelled)
        guesses = np.where(random.random(labelled) < 0.8, labels, random.integers(0, 3, labelled))
        images.append(
            ImageResult(
                height=600, width=600, true_boxes=truth, true_classes=labels, crowd=random.random(labelled) < 0.1,
                boxes=found, classes=np.concatenate([guesses, random.integers(0, 3, 3)]),
                scores=random.random(labelled + 3),
            )
        )  # fmt: skip
    return images


def by_pycocotools(images: list[ImageResult]) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = ground_truth(images, CLASSES)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections(images)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(COCO_NAMES, evaluation.stats, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_twelve_numbers_are_those_of_pycocotools(seed):
    images = random_images(seed)
    ours = evaluate(images, CLASSES)
    assert list(ours) == [*COCO_NAMES, *(f"AP/{name}" for name in CLASSES)]
    assert {name: ours[name] for name in COCO_NAMES} == pytest.approx(by_pycocotools(images), abs=1e-9)


def test_mean_ap_is_the_mean_over_classes_that_have_boxes():
    images = [image for image in random_images(3) if 2 not in image.true_classes]
    ours = evaluate(images, CLASSES)
    assert ours["AP/cyclist"] == -1
    assert ours["mAP"] == pytest.approx((ours["AP/vehicle"] + ours["AP/pedestrian"]) / 2)


def test_a_perfect_detector_scores_one_and_one_that_finds_nothing_zero():
    images = [
        ImageResult(100, 100, np.array([[10.0, 10, 60, 60]]), np.array([0]), np.array([False]), *found)
        for found in [(np.array([[10.0, 10, 60, 60]]), np.array([0]), np.array([0.9]))]
    ]
    perfect = evaluate(images, CLASSES)
    assert perfect["mAP"] == perfect["AP/vehicle"] == 1.0
    assert perfect["mAP_small"] == -1

    nothing = (np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    blind = [ImageResult(100, 100, images[0].true_boxes, np.array([0]), np.array([False]), *nothing)]
    assert evaluate(blind, CLASSES) == {
        name: -1.0 if name.endswith(("small", "large")) else 0.0 for name in COCO_NAMES
    } | {"AP/vehicle": 0.0, "AP/pedestrian": -1.0, "AP/cyclist": -1.0}
