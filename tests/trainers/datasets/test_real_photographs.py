"""Real photographs, from the folder in which they were labelled to a detector that is trained and measured on them."""

import math

import numpy as np
import pytest

from trainers.datasets.__main__ import main
from trainers.datasets.dataset import Part
from trainers.datasets.opening import open_dataset
from trainers.datasets.records.reading import read_images


def contents(part: Part) -> list[tuple]:
    """(image, labels, boxes in fractions of the image) of every record."""
    return [
        (record.image_sha256, tuple(record.labels), np.asarray(record.boxes).tolist())
        for record in read_images(part.files)
    ]


@pytest.mark.slow
def test_converted_records_are_those_of_the_folder(raccoon, tmp_path):
    assert main(["convert", str(raccoon), str(tmp_path / "records")]) == 0
    folder, records = (
        open_dataset(str(source), tmp_path / "cache") for source in (raccoon, tmp_path / "records")
    )
    assert records.classes == folder.classes == ("raccoon",)
    assert contents(records.train) == contents(folder.train)
    assert contents(records.validation) == contents(folder.validation)


@pytest.mark.slow(30)
def test_a_detector_is_trained_and_measured_on_the_folder(raccoon, tmp_path, tiny_recipe):
    from trainers.object_detection_api.trainer import DetectorTrainer

    trainer = DetectorTrainer(open_dataset(str(raccoon), tmp_path / "cache"))
    trainer.start(tiny_recipe)
    losses = trainer.train(4).losses["total"]
    assert len(losses) == 4
    assert all(map(math.isfinite, losses))
    measured = trainer.evaluate()
    assert measured.images == 40
    assert set(measured.values) >= {"mAP", "AP/raccoon"}
    assert measured.losses["total"] > 0
