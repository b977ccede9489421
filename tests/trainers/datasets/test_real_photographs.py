"""Real photographs, from the folder in which they were labelled to a detector that is trained and measured on them."""

import numpy as np
import pytest

from trainers.datasets.__main__ import main
from trainers.datasets.opening import open_dataset
from trainers.metrics import Metrics

pytestmark = pytest.mark.slow(30)


def test_converted_records_give_the_training_and_the_evaluation_of_the_folder(raccoon, tmp_path, tiny_recipe):
    from trainers.object_detection_api.trainer import DetectorTrainer

    assert main(["convert", str(raccoon), str(tmp_path / "records")]) == 0
    losses: list[list[float]] = []
    measured: list[Metrics] = []
    for source in (raccoon, tmp_path / "records"):
        trainer = DetectorTrainer(open_dataset(str(source), tmp_path / "cache"))
        trainer.start(tiny_recipe)
        losses.append(trainer.train(4).losses["total"])
        measured.append(trainer.evaluate())
    folder, records = measured
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert (folder.images, records.images) == (40, 40)
    assert set(folder.values) >= {"mAP", "AP/raccoon"}
    assert dict(records.values) == pytest.approx(dict(folder.values), abs=1e-4)
    assert folder.losses["total"] > 0
    assert records.losses == pytest.approx(folder.losses, rel=1e-4)
