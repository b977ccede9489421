"""Labels with which all trials disagree in the same way are likely errors."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.datasets.records.checked_image import CheckedImage
from trainers.datasets.records.reading import read_images
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.suspects import disagreements
from trainers.detection.task import DETECTION

CAR, BIKE = 0, 1
HERE, THERE, ELSEWHERE = (10, 10, 50, 50), (60, 60, 90, 95), (5, 60, 30, 95)
Box = tuple[tuple[int, int, int, int], int, float]


def image(labels: list[Box], found: list[Box], crowd: bool = False) -> ImageResult:
    """labels: box, class, and a score that means nothing."""

    def arrays(boxes: list[Box]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        edges = np.array([box for box, _, _ in boxes], float).reshape(-1, 4)
        return edges, np.array([label for _, label, _ in boxes], int), np.array([s for *_, s in boxes])

    true_boxes, true_classes, _ = arrays(labels)
    boxes, classes, scores = arrays(found)
    crowds = np.full(len(labels), crowd)
    return ImageResult(100, 100, true_boxes, true_classes, crowds, boxes, classes, scores)


# others are found with lower scores, so that the score with the best F1 is below those of the tests
RIGHT = image([(HERE, CAR, 1), (THERE, BIKE, 1)], [(HERE, CAR, 0.5), (THERE, BIKE, 0.5)])


def only(labels: list[Box], *found: list[Box], crowd: bool = False):
    """The disagreements in one image, beside many on which all is right."""
    trials = [[*[RIGHT] * 9, image(labels, each, crowd)] for each in found]
    suspected = disagreements(trials, 2)
    assert all(each.image == 9 for each in suspected)
    return suspected


def test_where_all_is_right_nothing_is_suspected():
    assert not disagreements([[RIGHT] * 5, [RIGHT] * 5], 2)


def test_an_object_that_all_trials_find_where_none_is_labelled_lacks_a_box():
    shifted = (12, 12, 52, 52)
    (one,) = only(
        [(THERE, BIKE, 1)], [(HERE, CAR, 0.9), (THERE, BIKE, 0.9)], [(shifted, CAR, 0.8), (THERE, BIKE, 0.8)]
    )
    assert (one.kind, one.label, one.found, one.certainty) == ("no box", None, CAR, 0.8)
    assert tuple(one.box) == HERE


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([], id="one trial does not find it"),
        pytest.param([(HERE, BIKE, 0.9)], id="one trial takes it for something else"),
        pytest.param([(HERE, CAR, 0.01)], id="one trial is not sure"),
        pytest.param([(ELSEWHERE, CAR, 0.9)], id="one trial finds it elsewhere"),
    ],
)
def test_what_only_some_find_is_no_suspect(other):
    assert not only([], [(HERE, CAR, 0.9)], other)


def test_a_label_that_all_trials_take_for_one_other_class_is_suspected():
    (one,) = only([(HERE, BIKE, 1)], [(HERE, CAR, 0.9)], [(HERE, CAR, 0.7)])
    assert (one.kind, one.label, one.found, one.certainty) == ("another class", BIKE, CAR, 0.7)


def test_a_label_that_one_trial_confirms_is_not():
    assert not only([(HERE, BIKE, 1)], [(HERE, CAR, 0.9)], [(HERE, CAR, 0.7), (HERE, BIKE, 0.6)])
    assert not only([(HERE, BIKE, 1)], [(HERE, CAR, 0.9)], [(HERE, BIKE, 0.9)])


def test_a_label_that_none_finds_is_suspected_the_more_the_better_others_of_its_class_are_found():
    (one,) = only([(ELSEWHERE, CAR, 1)], [], [])
    assert (one.kind, one.label, one.found) == ("not found", CAR, None)
    assert one.certainty == pytest.approx(9 / 10)


def test_crowds_are_no_label_errors():
    assert not only([(ELSEWHERE, CAR, 1)], [], [], crowd=True)


def test_missing_boxes_come_first_then_wrong_classes_then_what_is_not_found():
    found = [(HERE, CAR, 0.6), (THERE, CAR, 0.9)]
    suspected = only([(THERE, BIKE, 1), (ELSEWHERE, BIKE, 1)], found, found)
    assert [each.kind for each in suspected] == ["no box", "another class", "not found"]


def test_a_suspect_is_named_by_its_file_with_a_picture_of_the_label_and_of_what_was_found(tiny_city):
    images = list(read_images(tiny_city.validation.files))
    place = next(i for i, each in enumerate(images) if len(each.labels) > 1)

    def result(i: int, each: CheckedImage) -> ImageResult:
        """All objects are found; one of those of an image has lost its label."""
        boxes, labels = each.pixel_boxes(), np.array(each.labels) - 1
        kept = slice(1 if i == place else 0, None)
        crowd = np.zeros(len(labels), bool)
        scores = np.full(len(labels), 0.9)
        return ImageResult(
            each.height, each.width, boxes[kept], labels[kept], crowd[kept], boxes, labels, scores
        )

    trial = [result(i, each) for i, each in enumerate(images)]
    (suspect,) = DETECTION.suspects({"trial 1": trial, "trial 2": trial}, tiny_city, 10)
    lost = tiny_city.classes[images[place].labels[0] - 1]
    assert suspect.image == images[place].name
    assert suspect.what.startswith(f"a {lost} without a box, at x ")
    assert suspect.certainty == pytest.approx(0.9)
    assert [each.caption for each in suspect.examples] == ["labelled", "no box"]
    assert all(each.jpeg.startswith(b"\xff\xd8") for each in suspect.examples)
