"""COCO's numbers on resamples of the images are those that COCO's evaluation gives of the images so repeated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_coco_metrics import CLASSES, random_images

from trainers.detection.coco_metrics import COCO_NAMES, ImageResult, evaluate
from trainers.detection.resampled import resampled
from trainers.detection.task import DETECTION

NAMES = [*COCO_NAMES, *(f"AP/{name}" for name in CLASSES)]


def scene(seed: int) -> list[ImageResult]:
    """Images of every size of box with crowds; some show nothing, some find nothing, and of one class there is none."""
    random = np.random.default_rng(seed)
    images = random_images(seed, count=int(random.integers(2, 16)))
    absent = seed % 4  # 3: none is
    return [
        dataclasses.replace(part, crowd=random.random(len(part.crowd)) < 0.3)
        for image in images
        for part in [_without(image, absent, nothing_found=random.random() < 0.1)]
    ]


def _without(image: ImageResult, label: int, nothing_found: bool) -> ImageResult:
    true, found = image.true_classes != label, np.full(len(image.scores), not nothing_found)
    return dataclasses.replace(
        image, true_boxes=image.true_boxes[true], true_classes=image.true_classes[true], crowd=image.crowd[true],
        boxes=image.boxes[found], classes=image.classes[found], scores=image.scores[found],
    )  # fmt: skip


def crowded(seed: int) -> list[ImageResult]:
    """Three images in which far more is found of a class than counts."""
    random = np.random.default_rng(seed)
    images = []
    for image in random_images(seed, count=3):
        corners = random.uniform(0, 300, (150, 2))
        boxes = np.concatenate([corners, corners + random.uniform(5, 120, (150, 2))], axis=1)
        if len(image.true_boxes):
            boxes[:60] = image.true_boxes[random.integers(0, len(image.true_boxes), 60)]
        images.append(
            dataclasses.replace(
                image, boxes=boxes, classes=np.repeat([0, 1], [130, 20]), scores=random.random(150)
            )
        )
    return images


def measured(images: list[ImageResult], counts: np.ndarray) -> list[dict[str, float]]:
    """The metrics by name for each row of counts, with COCO's -1 where there is nothing to measure."""
    found = resampled(images, CLASSES, [counts], NAMES)
    assert list(found) == NAMES
    assert all(len(found[name]) == 1 and found[name][0].shape == (len(counts),) for name in NAMES)
    return [
        {name: float(np.nan_to_num(found[name][0][row], nan=-1)) for name in NAMES}
        for row in range(len(counts))
    ]


def repeated(images: list[ImageResult], counts: np.ndarray) -> list[ImageResult]:
    return [image for image, count in zip(images, counts, strict=True) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_of_all_images_once_each_number_is_that_of_the_evaluation(seed):
    images = scene(seed)
    (once,) = measured(images, np.ones((1, len(images)), int))
    assert once == pytest.approx(evaluate(images, CLASSES), abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_of_a_resample_each_number_is_that_of_the_images_so_repeated(seed):
    images = scene(seed)
    draws = np.random.default_rng(100 + seed)
    counts = np.array(
        [np.bincount(draws.integers(0, len(images), len(images)), minlength=len(images)) for _ in "abc"]
    )
    for row, numbers in zip(counts, measured(images, counts), strict=True):
        assert numbers == pytest.approx(evaluate(repeated(images, row), CLASSES), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_more_detections_than_count_are_cut_off_as_by_the_evaluation(seed):
    images = crowded(seed)
    counts = np.array([[1, 1, 1], [2, 0, 1]])
    for row, numbers in zip(counts, measured(images, counts), strict=True):
        assert numbers == pytest.approx(evaluate(repeated(images, row), CLASSES), abs=1e-9)


def test_where_nothing_is_found_and_where_nothing_is_there_are_told_apart():
    blind = [_without(image, 2, nothing_found=True) for image in random_images(4)]
    (numbers,) = measured(blind, np.ones((1, len(blind)), int))
    assert numbers == evaluate(blind, CLASSES)
    assert (numbers["AP/vehicle"], numbers["AP/cyclist"]) == (0, -1)


def test_several_sets_of_counts_are_answered_each_and_what_boxes_do_not_tell_is_left_out():
    images = scene(7)
    once, twice = np.ones((1, len(images)), int), np.full((4, len(images)), 2)
    found = DETECTION.resampled(
        images, CLASSES, [once, twice], ["AP/vehicle", "validation_loss/total", "seconds"]
    )
    assert list(found) == ["AP/vehicle"]
    assert [each.shape for each in found["AP/vehicle"]] == [(1,), (4,)]


def test_every_metric_that_detection_offers_but_the_losses_can_be_resampled():
    offered = [name for name in DETECTION.metrics(CLASSES) if not name.startswith("validation_loss/")]
    assert sorted(offered) == sorted(NAMES)
