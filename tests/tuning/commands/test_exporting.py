"""A trial's export: its checkpoint is measured as the trial was, and on the test images once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from curve_trainer import DATASET, CurveTrainer

import search_spaces
from search_spaces.conditions import Conditions
from trainers import export as exports
from trainers.datasets.dataset import Part
from trainers.detection import threshold
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.export import Framing
from trainers.detection.export import seal as seal_detector
from trainers.errors import UserError
from trainers.metrics import Metrics
from tuning.api import exporting

SPACE, CONDITIONS = search_spaces.get("mobilenet"), Conditions(steps=90)
RECIPE = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe
LARGE = dataclasses.replace(
    DATASET,
    validation=Part((Path("validation.record"),), 2000),
    test=Part((Path("test.record"),), 300),
)
VALUES = {500: 0.25, 2000: 0.22, 300: 0.2}  # mAP by number of images


class Uneven(CurveTrainer):
    """Has another mAP on the first 500 images than on all, and another on the test images."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self._images = dataset.validation.images

    def evaluate(self, images: int | None = None) -> Metrics:
        count = min(images or self._images, self._images)
        found = super().evaluate(count)
        return dataclasses.replace(found, values={**found.values, "mAP": VALUES[count]}, images=count)

    def export(self, directory: Path) -> None:
        super().export(directory)
        exports.seal(directory, {})


@pytest.fixture
def trial(tmp_path, monkeypatch) -> Path:
    """The folder of a trial with a checkpoint at step 30 of 90."""
    folder = tmp_path / "studies" / "street" / "trials" / "4"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE.to_yaml())
    trainer = Uneven(LARGE)
    trainer.start(RECIPE, None)
    trainer.train(30)
    trainer.save(folder / "checkpoint-30").result()
    monkeypatch.setattr(exporting, "make_trainer", lambda factory, dataset, options: Uneven(dataset))
    monkeypatch.setattr("tuning.study.data.reopen", lambda *_: LARGE)
    return folder


def made(trial: Path, **measured: object) -> dict[str, object]:
    exporting.make(trial, {}, {"trial": 4}, {"objective": "mAP", **measured}, None)
    return dict(exports.read(trial / "export").manifest)


def test_a_stopped_trial_is_measured_on_the_early_images_that_its_rung_was_measured_on(trial):
    assert made(trial, value=0.25, images=500)["trial"] == 4


def test_one_that_was_measured_on_all_images_still_agrees(trial):
    assert made(trial, value=0.22, images=None)["trial"] == 4
    assert (
        made(trial, value=0.22, images=500)["trial"] == 4
    )  # by tuning.train, whose rungs are all on all images


def test_what_agrees_with_neither_is_refused(trial):
    with pytest.raises(UserError, match=r"has mAP 0.220 now, but the trial had 0.300 \(tolerance 0.005\)"):
        made(trial, value=0.3, images=500)
    assert not (trial / "export").exists()


def test_data_with_a_test_part_are_measured_on_it_once(trial):
    found = made(trial, value=0.25, images=500)["test"]
    assert (found["images"], found["metrics"]["mAP"]) == (300, 0.2)


def test_an_export_that_is_there_gets_the_threshold_of_a_condition_before_anything_is_made_again(
    trial, monkeypatch
):
    folder, box = trial / "export", np.array([[0.0, 0.0, 9.0, 9.0]])
    image = ImageResult(
        20, 20, box, np.zeros(1, int), np.zeros(1, bool), box, np.zeros(1, int), np.array([0.7])
    )
    folder.mkdir()
    about = {"step": 30, "trial": 4}
    score = threshold.write(folder, [image], LARGE.classes)
    seal_detector(folder, LARGE.classes, Framing(96, "stretch"), score, about)

    def export(condition: str | None) -> float:
        return exports.read(exporting.export_trial(trial, {}, about, threshold_for=condition)).manifest[
            "threshold"
        ]

    assert (export(None), export("recall>=.5"), export(None)) == (0.01, 0.7, 0.7)
    with pytest.raises(UserError, match="is not a condition"):
        exporting.export_trial(trial, {}, about, threshold_for="best")

    pushed = []
    monkeypatch.setattr(exporting, "push_folder", lambda *given, **how: pushed.append((given[1], how)))
    export("recall>=.5")
    assert pushed == [("export", {"missing": True}), ("export", {})]
