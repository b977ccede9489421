"""The Trainer contract, kept by a two-stage detector, whose training draws samples of its proposals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError

LAPTOP = {"model": "faster_rcnn_50", **models.get("faster_rcnn_50").presets["laptop"]}
TINY = recipes.build(LAPTOP).replace(steps=6, batch_size=1, proposals=12, sampled_proposals=6, seed=7)


def test_more_samples_than_proposals_are_refused():
    with pytest.raises(UserError) as refused:
        recipes.build(LAPTOP | {"proposals": 20, "sampled_proposals": 21})
    assert str(refused.value) == "recipe: sampled_proposals: must be at most the 20 proposals, not 21"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_it_trains_reproducibly_resumes_starts_from_its_checkpoint_and_its_export_equals_it(
    tiny_city, tmp_path
):
    from trainers.detection import export as exports
    from trainers.object_detection_api.trainer import DetectorTrainer

    trainer = DetectorTrainer(tiny_city)
    trainer.start(TINY)
    cold = trainer.train(4).losses
    assert set(cold) == {
        "objectness", "proposal_localization", "classification", "localization", "regularization", "total",
    }  # fmt: skip
    metrics = trainer.evaluate()
    assert metrics.losses == trainer.evaluate().losses
    trainer.save(tmp_path / "checkpoint").result()

    trainer.start(TINY.replace(proposal_weight=2.0, l2=0.001, seed=9))  # the same graph
    other = trainer.train(2).losses
    assert other["regularization"][0] > 0
    trainer.start(TINY)
    np.testing.assert_allclose(trainer.train(6).losses["total"][:4], cold["total"], rtol=1e-4)

    trainer.start(TINY, tmp_path / "checkpoint")
    assert trainer.step == 4
    assert trainer.evaluate().losses["total"] == pytest.approx(metrics.losses["total"], rel=1e-4)

    trainer.export(tmp_path / "export")  # raises unless its detections are the trained model's
    export = exports.read(tmp_path / "export")
    assert (export.framing.resize, export.framing.pad_colour) == ("pad", (0, 0, 0))
    assert json.loads((tmp_path / "export" / "manifest.json").read_text())["suppression"]["in_all"] == 300

    for part in ("boxes", "detection", "full"):
        trainer.start(TINY.replace(weights={"source": str(tmp_path / "checkpoint"), "part": part}, seed=11))
        assert trainer.train(1).losses["total"][0] > 0
    # in a detector's checkpoint the backbone is in two halves, which the API does not name as it names a backbone
    with pytest.raises(UserError, match="does not fit the model as 'classification' weights"):
        trainer.start(
            TINY.replace(weights={"source": str(tmp_path / "checkpoint"), "part": "classification"})
        )
