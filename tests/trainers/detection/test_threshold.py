"""The score threshold of an export: measured on all validation images, chosen by a condition, kept with its curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trainers.detection import export as exports
from trainers.detection import threshold
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.export import Framing
from trainers.detection.task import DETECTION
from trainers.errors import UserError

CLASSES = ("car", "bus")
HERE, THERE = [10.0, 10.0, 30.0, 30.0], [50.0, 50.0, 80.0, 80.0]


def image(found: list[tuple[float, bool]], label: int = 0, crowd: bool = False) -> ImageResult:
    """One object of the class `label`, and detections of it: (score, whether it is right)."""
    return ImageResult(
        height=100,
        width=100,
        true_boxes=np.array([HERE]),
        true_classes=np.array([label]),
        crowd=np.array([crowd]),
        boxes=np.array([HERE if right else THERE for _, right in found]).reshape(-1, 4),
        classes=np.full(len(found), label),
        scores=np.array([score for score, _ in found], np.float32),
    )


# at .60 six of seven are right, of eight objects; at .20 all eight of twelve; at .90 one of one
IMAGES = [
    image([(0.9, True)]),
    *[image([(0.6, True)]) for _ in range(4)],
    image([(0.7, True), (0.65, False)], label=1),
    *[image([(0.2, True), (0.2, False), (0.3, False)], label=1) for _ in range(2)],
]


@pytest.fixture
def folder(tmp_path) -> Path:
    """An export with everything but a network in it."""
    path = tmp_path / "export"
    path.mkdir()
    (path / "label_map.pbtxt").write_text("")
    score = threshold.write(path, IMAGES, CLASSES)
    exports.seal(path, CLASSES, Framing(96, "stretch"), score, {"step": 90, "trial": 4})
    return path


def test_the_curves_count_the_detections_from_each_score_on():
    rng = np.random.default_rng(0)
    scores, right = rng.random(200), rng.random(200) < 0.6
    images = [image([(float(score), bool(hit))]) for score, hit in zip(scores, right, strict=True)]
    found, _ = threshold.curves(images, 1)
    for at, score in enumerate(threshold.SCORES):
        kept = right[scores >= score]
        assert found.precision[at] == pytest.approx(kept.mean() if len(kept) else np.nan, nan_ok=True)
        assert found.recall[at] == pytest.approx(kept.sum() / 200)
        assert found.f1[at] == pytest.approx(2 * kept.sum() / (len(kept) + 200))


def test_a_class_has_its_own_curve_and_detections_of_a_crowd_count_as_neither():
    crowd = image([(0.95, True), (0.94, True)], label=1, crowd=True)
    overall, (cars, buses) = threshold.curves([*IMAGES, crowd], 2)
    at = int(np.flatnonzero(threshold.SCORES == 0.65)[0])
    assert (cars.boxes, buses.boxes, overall.boxes) == (5, 3, 8)
    assert (buses.precision[at], buses.recall[at]) == (0.5, pytest.approx(1 / 3))
    assert (cars.precision[at], cars.recall[at]) == (1.0, 0.2)
    assert (overall.precision[at], overall.recall[at]) == (pytest.approx(2 / 3), 0.25)


@pytest.mark.parametrize(
    ("condition", "score"),
    [
        ("f1", 0.31),  # without the two wrong ones at .30
        ("precision>=.85", 0.31),
        ("precision >= 0.9", 0.66),
        ("precision>=1", 0.66),
        ("recall>=.75", 0.6),
        ("recall>=0.8", 0.2),
        ("recall>=1", 0.2),
    ],
)
def test_a_condition_chooses_a_score(condition, score):
    overall, _ = threshold.curves(IMAGES, 2)
    assert threshold.choose(overall, threshold.parse(condition)) == score


def test_without_a_right_detection_the_threshold_is_in_the_middle():
    assert threshold.best_f1([image([(0.8, False)])], 2) == 0.5
    assert threshold.best_f1([image([])], 2) == 0.5


def test_what_no_score_reaches_is_refused_with_the_nearest(folder):
    before = exports.read(folder)
    worse = threshold.curves([image([(0.8, True), (0.9, False)])], 2)[0]
    with pytest.raises(
        UserError, match=r"no score reaches it .* the largest precision is 0.500, at score 0.01"
    ):
        threshold.choose(worse, threshold.parse("precision>=.9"))
    with pytest.raises(UserError, match="in quotes"):
        DETECTION.threshold_choice("precision")  # what is left of precision>=.9 without quotes
    assert exports.read(folder) == before


@pytest.mark.parametrize(
    "text", ["", "F1", "precision>.9", "recall>=80", "recall>=0", "f1>=.5", "precision>=nan"]
)
def test_another_condition_is_not_understood(text):
    with pytest.raises(UserError, match=r"is not a condition; give f1, 'precision>=.9' or 'recall>=.8'"):
        threshold.parse(text)


def test_an_export_keeps_the_curves_and_its_threshold_changes_with_its_id(folder):
    first = exports.read(folder)
    assert first.threshold == 0.31
    DETECTION.threshold_choice("recall>=.8")(folder)
    changed = exports.read(folder)
    assert changed.threshold == 0.2
    assert changed.export_id != first.export_id
    assert changed.manifest["trial"] == 4
    kept = json.loads((folder / "threshold.json").read_text())
    assert (kept["threshold"], kept["for"], kept["images"]) == (0.2, "recall>=0.8", len(IMAGES))
    assert kept["overall"]["recall"][kept["scores"].index(0.2)] == 1.0
    assert list(kept["classes"]) == list(CLASSES)
    assert threshold.says(folder) == (
        "score threshold 0.20 for recall>=0.8: precision 0.615, recall 1.000 on 8 validation images"
    )
    DETECTION.threshold_choice("f1")(folder)
    assert exports.read(folder) == first


def test_an_export_of_an_earlier_version_has_no_curve_to_choose_by(folder):
    (folder / "threshold.json").unlink()
    exports.seal(folder, CLASSES, Framing(96, "stretch"), 0.4, {"step": 90})
    assert threshold.says(folder) is None
    with pytest.raises(UserError, match=r"has no threshold\.json; delete it to export again"):
        DETECTION.threshold_choice("f1")(folder)
