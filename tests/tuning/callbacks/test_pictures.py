"""Pictures of a trial: what they show is right, and drawing them is nobody's trouble."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess

import cv2
import numpy as np
import pytest
from searches import run_here, search_of
from test_detections import city

from trainers.datasets.records.reading import read_images
from trainers.datasets.toy_city.generating import open_toy_city
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.detection import coco_metrics
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.pictures import charts, contact_sheet
from trainers.detection.task import DETECTION
from tuning.callbacks import pictures as drawing
from tuning.callbacks.pictures import Pictures
from tuning.pictures.__main__ import draw
from tuning.pictures.trial import DrawnTrial
from tuning.study import curves
from tuning.study.step_result import StepResult
from tuning.study.trial_folder import PICTURES
from tuning.study.trial_record import Rung

slow = pytest.mark.slow
NAMES = {"loss.png", "metrics.png", "precision-recall.png", "confusion.png", "validation.jpg"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    made = open_toy_city(ToyCity(train_images=2, validation_images=10), tmp_path_factory.mktemp("data"))
    return dataclasses.replace(made, classes=("a$b$", "<b>велосипед</b>", "cyclist"))


def results_of(dataset) -> list[ImageResult]:
    """The truth, found a little off and with every third class wrong."""
    rng = np.random.default_rng(0)
    made = []
    for record in read_images(dataset.validation.files):
        boxes, labels = record.pixel_boxes(), np.array(record.labels, int) - 1
        found = np.where(np.arange(len(labels)) % 3 == 2, (labels + 1) % 3, labels)
        made.append(
            ImageResult(
                record.height, record.width, boxes, labels, np.array(record.crowd, bool),
                boxes + rng.normal(0, 1, boxes.shape), found, rng.uniform(0.3, 1, len(labels)),
            )
        )  # fmt: skip
    return made


def rung(step: int, mAP: float, classes: tuple[str, ...]) -> Rung:
    metrics = {"mAP": mAP, "mAP50": 1.5 * mAP, "validation_loss/total": 2 - mAP, "mAP_large": -1.0}
    metrics |= {f"AP/{name}": mAP for name in classes} | {f"AP/{classes[-1]}": -1.0}
    score = DETECTION.objective(None, classes).score(metrics)
    return Rung(step, mAP, 2.0, 1.0, 0.0, metrics, "continue", "", 1, 1, None, score)


@pytest.fixture
def trial(dataset, tmp_path) -> DrawnTrial:
    folder = tmp_path / "street" / "trials" / "0"
    folder.mkdir(parents=True)
    steps = list(range(1, 91))
    losses = {"training_loss/total": [2.0 + 30 / step for step in steps]}
    curves.CurveFile(folder / "metrics.jsonl", 90).append(StepResult(0, 90, "progress", 9.0, steps, losses))
    DETECTION.write_results(folder, 90, results_of(dataset))
    rungs = [rung(step, mAP, dataset.classes) for step, mAP in ((10, 0.0), (30, 0.2), (90, 0.41))]
    return DrawnTrial(folder, "street, trial 0", rungs, dataset.classes, DETECTION, "mAP")


@slow
def test_a_trial_has_five_pictures_that_can_be_read(trial, dataset):
    draw(trial, dataset)
    folder = trial.folder / PICTURES
    assert {path.name for path in folder.iterdir()} == NAMES
    for path in folder.iterdir():
        image = cv2.imread(str(path))
        assert min(image.shape[:2]) >= 300
        assert image.std() > 10, f"{path.name} is blank"
        assert path.stat().st_size < 1_000_000


@slow
def test_a_trial_that_found_nothing_or_has_no_boxes_is_drawn_too(trial, dataset):
    nothing = [
        dataclasses.replace(each, boxes=np.zeros((0, 4)), classes=np.zeros(0, int), scores=np.zeros(0))
        for each in results_of(dataset)
    ]
    DETECTION.write_results(trial.folder, 90, nothing)
    draw(trial, dataset)
    assert {path.name for path in (trial.folder / PICTURES).iterdir()} == NAMES
    (trial.folder / "detections-90.npz").unlink()
    (trial.folder / "metrics.jsonl").unlink()
    draw(dataclasses.replace(trial, title="without boxes"), dataset)
    names = {path.name for path in (trial.folder / PICTURES).iterdir()}
    assert names == {"loss.png", "metrics.png"}


def test_the_confusion_matrix_counts_every_box_once(dataset):
    made = results_of(dataset)
    matrix = charts.confusion_matrix(made, dataset.classes, 0.0)
    labels = np.concatenate([each.true_classes for each in made])
    found = np.concatenate([each.classes for each in made])
    assert matrix.sum(axis=1)[:3].tolist() == np.bincount(labels, minlength=3).tolist()
    assert matrix.sum(axis=0)[:3].tolist() == np.bincount(found, minlength=3).tolist()
    assert np.trace(matrix[:3, :3]) >= 0.6 * len(labels)
    none = charts.confusion_matrix(made, dataset.classes, 1.1)
    assert none[:3, 3].tolist() == np.bincount(labels, minlength=3).tolist()
    assert none[:, :3].sum() == 0


def test_what_is_found_in_a_crowd_is_no_false_alarm():
    box = np.array([[0.0, 0.0, 40.0, 40.0]])
    crowd = ImageResult(
        50, 50, box, np.array([0]), np.array([True]), box / 2, np.array([0]), np.array([0.9])
    )  # fmt: skip
    assert charts.confusion_matrix([crowd], ("person",), 0.5).sum() == 0


def test_precision_by_recall_averages_to_the_ap_of_the_class():
    images, classes = city(3, images=30), ("vehicle", "pedestrian")
    curve = coco_metrics.precision_by_recall(images, classes, 0.5)
    mAP50 = coco_metrics.evaluate(images, classes)["mAP50"]
    assert np.mean([each.mean() for each in curve.values()]) == pytest.approx(mAP50)
    assert all((np.diff(each) <= 1e-12).all() for each in curve.values())
    assert set(coco_metrics.precision_by_recall(images, (*classes, "unseen"), 0.5)) == set(classes)


def test_images_of_a_sheet_are_spread_evenly():
    assert contact_sheet.spread(100, 5) == [0, 24, 49, 74, 99]
    assert contact_sheet.spread(3, 8) == [0, 1, 2]
    assert contact_sheet.spread(1, 8) == [0]


def with_boxes(study, trials: int, dataset) -> None:
    """Run so many trials of the study, with something found at each one's last rung."""
    run_here(search_of(study, trials))
    for record in study.records():
        DETECTION.write_results(study.trial_folder(record.number), record.step, results_of(dataset))


@slow
def test_completed_trials_are_drawn_beside_the_search_and_those_left_over_at_the_next(
    open_study, dataset, tmp_path
):
    study, told = open_study(), []
    pictures = Pictures(study, dataset, told.append)
    with_boxes(study, 3, dataset)  # which the callback did not see
    completed = [record.number for record in study.records() if record.state == "completed"]
    pictures.start()
    pictures.close()
    assert told == completed
    for record in study.records():
        assert (study.trial_folder(record.number) / PICTURES).is_dir() == (record.number in completed)
    again = Pictures(study, dataset, told.append)
    again.start()
    again.close()
    assert told == completed


def test_a_picture_that_cannot_be_drawn_ends_nothing(open_study, dataset, monkeypatch, caplog):
    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "python", stderr="ModuleNotFoundError: no supervision")

    caplog.set_level(logging.WARNING)  # a library that an earlier test imported may have set the root's level
    study, told = open_study(), []
    with_boxes(study, 3, dataset)
    monkeypatch.setattr(drawing.subprocess, "run", fail)
    pictures = Pictures(study, dataset, told.append)
    pictures.start()
    pictures.close()
    assert told == []
    assert "no supervision" in caplog.text


def test_what_a_process_is_told_of_a_trial_is_json(open_study, dataset, monkeypatch):
    jobs = []
    monkeypatch.setattr(drawing.subprocess, "run", lambda *_, input, **__: jobs.append(json.loads(input)))
    study = open_study()
    with_boxes(study, 1, dataset)
    pictures = Pictures(study, dataset, lambda number: None)
    pictures.start()
    pictures.close()
    assert jobs[0]["title"].startswith("street, trial 0: mAP 0.")
    record = study.record(0)
    read = [Rung.from_dict(each, study.objective, record.recipe) for each in jobs[0]["rungs"]]
    assert read == list(record.rungs)
