"""`logit_adjustment` gives rare classes more of the decision, by their share of the training pixels."""

from __future__ import annotations

import numpy as np
import pytest
from mask_folders import write_folder

from trainers import recipe as recipes
from trainers.segmentation.data.arrays import logit_offsets
from trainers.segmentation.task import SEGMENTATION

RECIPE = {
    "model": "fcn", "image_size": 32, "batch_size": 2, "steps": 2, "optimizer": {"kind": "adam"},
    "schedule": {"kind": "constant", "base": 0.01}, "depth": 2, "filters": 4, "decoder_convolutions": 1,
}  # fmt: skip


def test_a_logit_rises_by_the_logarithm_of_how_much_rarer_its_class_is():
    offsets = logit_offsets(np.array([0.9, 0.09, 0.01]), 0.5)
    assert offsets == pytest.approx([0, 0.5 * np.log(10), 0.5 * np.log(90)])
    assert offsets.dtype == np.float32


def test_without_it_and_for_a_class_without_pixels_nothing_is_added():
    assert not logit_offsets(np.array([0.9, 0.1]), 0.0).any()
    assert logit_offsets(np.array([0.9, 0.1, 0.0]), 1.0)[2] == 0


def test_old_recipes_keep_their_ids():
    plain = recipes.build(RECIPE)
    assert plain.recipe_id == recipes.build(RECIPE | {"logit_adjustment": 0.0}).recipe_id
    assert plain.recipe_id != recipes.build(RECIPE | {"logit_adjustment": 0.5}).recipe_id


@pytest.mark.slow(20)
def test_a_checkpoint_is_evaluated_and_exported_with_another_adjustment(tmp_path):
    """The same weights, of which more pixels go to the class that is rare."""
    from trainers.segmentation import export as exports
    from trainers.segmentation.trainer import SegmentationTrainer

    dataset = SEGMENTATION.open_data(str(write_folder(tmp_path / "square", 20)), tmp_path / "cache")
    trainer, plain = SegmentationTrainer(dataset), recipes.build(RECIPE)
    trainer.start(plain)
    trainer.train(2)
    trainer.save(tmp_path / "checkpoint").result()
    shares = np.zeros(len(dataset.classes))
    found = []
    for adjustment in (0.0, 1.0, 2.0):
        trainer.start(plain.replace(logit_adjustment=adjustment), tmp_path / "checkpoint", plain)
        metrics = trainer.evaluate()
        predicted = sum(each.confusion for each in metrics.results)
        shares = predicted.sum(axis=1)
        found.append((predicted.sum(axis=0)[shares.argmin()], metrics.losses["cross_entropy"]))
    pixels, entropies = zip(*found, strict=True)
    assert pixels[0] < pixels[1] < pixels[2]
    assert entropies == (entropies[0],) * 3  # of the network's probabilities, which do not change
    trainer.start(plain.replace(logit_adjustment=2.0, region_vote=0.5), tmp_path / "checkpoint", plain)
    trainer.export(tmp_path / "export")
    export = exports.read(tmp_path / "export")
    assert export.proof.problem() is None
    assert export.manifest["region_vote"] == 0.5
    assert sorted(export.manifest["rarest_first"]) == list(range(1, len(dataset.classes)))
