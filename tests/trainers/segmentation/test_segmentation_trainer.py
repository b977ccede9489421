"""The trainer of segmentation models: learns, resumes as if not interrupted, reuses its graph, exports equal masks."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from mask_folders import write_folder

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import Diverged, UserError
from trainers.segmentation.task import SEGMENTATION

pytestmark = [pytest.mark.slow(60)]

FIELDS = {
    "image_size": 32, "batch_size": 4, "steps": 24, "optimizer": {"kind": "adam"},
    "schedule": {"kind": "constant", "base": 0.02}, "averaging": 0.9, "l2": 1e-5, "dice": 0.3, "focal_gamma": 1.0,
    "class_balance": 0.5, "augmentations": [{"name": "random_horizontal_flip"}, {"name": "random_image_scale"}],
}  # fmt: skip
# what keeps the networks small enough for a test
SMALL = {
    "fcn": {
        "depth": 2,
        "filters": 8,
        "decoder_convolutions": 1,
        "decoder_output_stride": 2,
        "flip_test": True,
    },
    "unet": {"image_size": 64, "width": 0.1, "decoder_filters": 4},
}
LARGE = {"unet"}  # of which the graphs take a minute to trace: `make long`
SEGMENTERS = [
    pytest.param(name, marks=pytest.mark.long) if name in LARGE else name
    for name, each in models.all_models().items()
    if each.task == "segmentation"
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    return SEGMENTATION.open_data(str(write_folder(folder / "square", 20)), folder / "cache")


@pytest.fixture(scope="module", params=SEGMENTERS)
def recipe(request):
    return recipes.build({"model": request.param, **FIELDS, **SMALL.get(request.param, {})})


@pytest.fixture(scope="module")
def trained(dataset, recipe, tmp_path_factory):
    """A trainer after a whole trial, its losses, and the checkpoint that it left half way."""
    from trainers.segmentation.trainer import SegmentationTrainer

    trainer, half = SegmentationTrainer(dataset), tmp_path_factory.mktemp("half") / "checkpoint"
    trainer.start(recipe)
    first = trainer.train(12)
    trainer.save(half).result()
    early = trainer.evaluate(3)
    second = trainer.train(24)
    return trainer, [*first.losses["total"], *second.losses["total"]], half, early


def test_it_learns_and_an_evaluation_has_every_metric_of_the_task(trained, dataset):
    trainer, losses, _, early = trained
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    found = trainer.evaluate()
    assert set(found.flat()) <= set(SEGMENTATION.metrics(dataset.classes)) | {
        f"validation_loss/{part}" for part in ("pixels", "dice", "regularization")
    }
    assert (found.step, found.images, len(found.results)) == (24, 4, 4)
    assert (early.images, early.results) == (3, ())
    assert found.values["mIoU"] > 0.3


def test_a_resumed_trial_goes_on_as_if_it_had_not_been_interrupted(trained, recipe, dataset):
    from trainers.segmentation.trainer import SegmentationTrainer

    _, losses, half, _ = trained
    resumed = SegmentationTrainer(dataset)
    resumed.start(recipe, half)
    assert resumed.step == 12
    assert resumed.train(24).losses["total"] == pytest.approx(losses[12:], rel=1e-4)
    with pytest.raises(UserError, match="is a checkpoint of recipe"):
        resumed.start(recipe.replace(seed=5), half)


def test_a_trial_on_a_warm_trainer_equals_one_on_a_new_trainer(trained, recipe):
    trainer, losses, _, _ = trained
    before = trainer._graph
    trainer.start(recipe.replace(seed=1, dice=0.0, focal_gamma=0.0, l2=None, batch_size=3))
    other = trainer.train(3).losses["total"]
    trainer.start(recipe)
    assert trainer._graph is before
    assert trainer.train(5).losses["total"] == pytest.approx(losses[:5], rel=1e-4)
    assert other != pytest.approx(losses[:3], rel=1e-2)


def test_the_seed_of_a_trial_is_not_that_of_its_process(trained, recipe):
    from tensorflow.python.eager import context

    trainer = trained[0]
    random.seed(5)
    trainer.start(recipe.replace(seed=3))
    assert random.random() == random.Random(5).random()
    assert context.global_seed() is None


def test_an_export_has_the_trained_models_masks_and_its_evidence(trained, recipe, dataset, tmp_path):
    from trainers.segmentation.exported_segmenter import _load_pyfunc

    trainer, _, half, _ = trained
    trainer.start(recipe, half)
    trainer.export(tmp_path / "export")
    evidence = SEGMENTATION.check_export(tmp_path / "export")
    assert evidence.classes == dataset.classes
    assert "mIoU" in evidence.says
    signature = SEGMENTATION.signature(tmp_path / "export")
    masks = _load_pyfunc(str(tmp_path / "export")).predict(signature.example)["masks"]
    assert (masks.dtype, masks.shape) == ("uint8", signature.example["images"].shape[:3])
    samples = tmp_path / "export" / "samples.npz"
    kept = samples.read_bytes()
    samples.write_bytes(kept + b" ")
    with pytest.raises(UserError, match=r"samples\.npz: was added or changed after the export"):
        SEGMENTATION.check_export(tmp_path / "export")
    samples.write_bytes(kept)
    _refused_as_a_detector(tmp_path / "export")


def _refused_as_a_detector(export: Path) -> None:
    from trainers.detection import export as detectors

    with pytest.raises(UserError) as refused:
        detectors.read(export)
    assert str(refused.value) == f"{export}: not an export of a detector; give one of a detection study"


def test_a_loss_that_is_not_finite_ends_the_trial(trained, recipe):
    trainer = trained[0]
    trainer.start(recipe.replace(optimizer={"kind": "momentum"}, schedule={"kind": "constant", "base": 10.0}))
    trainer._loss = type(trainer._loss)(
        trainer._loss.class_weights * float("nan"), *trainer._loss.tensors()[1:]
    )
    with pytest.raises(Diverged, match="loss is nan at step 1"):
        trainer.train(2)


def test_pictures_are_drawn_from_an_evaluation(trained, recipe, dataset, tmp_path):
    trainer, _, half, _ = trained
    trainer.start(recipe, half)
    results = trainer.evaluate().results
    SEGMENTATION.write_results(tmp_path, 12, results)
    read = SEGMENTATION.read_results(tmp_path, 12)
    SEGMENTATION.draw(read, dataset, "a trial", tmp_path)
    assert {"confusion.png", "validation.jpg"} <= {path.name for path in tmp_path.iterdir()}
    text, rows = SEGMENTATION.side_by_side({"trial 1": read, "trial 2": read}, dataset)
    assert "4 validation images" in text
    assert [[example.caption for example in row][1:] for row in rows] == [["trial 1", "trial 2"]] * 4
    shutil.rmtree(tmp_path)
