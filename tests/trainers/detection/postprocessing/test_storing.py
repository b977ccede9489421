"""An export with the settings of its post-processing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from serve.detections import in_image, objects
from serve.jobs.options import Options
from trainers.detection import export as exports
from trainers.detection import threshold
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.export import Export, Framing
from trainers.detection.postprocessing import storing
from trainers.detection.postprocessing.settings import Postprocessing
from trainers.detection.samples import DetectionArrays

CHOSEN = Postprocessing((0.6, 0.2), 0.5, 2)
FOUND = DetectionArrays(
    np.array([[0.1, 0.1, 0.3, 0.3], [0.1, 0.12, 0.3, 0.32], [0.5, 0.5, 0.9, 0.9], [0.0, 0.0, 0.1, 0.1]], np.float32),
    np.array([0.7, 0.65, 0.55, 0.3], np.float32),
    np.array([1, 1, 1, 2]),
)  # fmt: skip


def sealed(folder: Path) -> Export:
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_text("network")
    box, car = np.array([[10.0, 10.0, 30.0, 30.0]]), np.array([0])
    image = ImageResult(100, 100, box, car, np.array([False]), box, car, np.array([0.5]))
    threshold.write(folder, [image], ("car", "cyclist"))
    exports.seal(folder, ("car", "cyclist"), Framing(100, "stretch"), 0.5, {"step": 90})
    return exports.read(folder)


def test_an_export_keeps_the_settings_and_becomes_another(tmp_path):
    before = sealed(tmp_path / "export")
    storing.store(tmp_path / "export", CHOSEN, {"before": 0.5, "after": 0.6})
    after = exports.read(tmp_path / "export")
    assert (before.postprocessing, after.postprocessing) == (None, CHOSEN)
    assert before.export_id != after.export_id
    assert after.manifest["step"] == 90


def test_detections_are_served_with_the_settings_and_a_given_threshold_is_for_all_classes(tmp_path):
    before = sealed(tmp_path / "export")
    assert in_image(FOUND, before, None, 10, 10).scores.tolist() == FOUND.scores[:3].tolist()
    storing.store(tmp_path / "export", Postprocessing((0.6, 0.2), 0.5), {})
    export = exports.read(tmp_path / "export")
    assert in_image(FOUND, export, None, 10, 10).class_names == ("car", "cyclist")
    assert [each.name for each in objects(FOUND, export, Options(), 10, 10)] == ["car", "cyclist"]
    assert in_image(FOUND, export, 0.5, 10, 10).class_names == ("car", "car")
    storing.store(tmp_path / "export", CHOSEN, {})
    assert in_image(FOUND, exports.read(tmp_path / "export"), None, 10, 10).class_names == ("car",)


def test_a_threshold_that_is_asked_for_later_takes_their_place(tmp_path):
    sealed(tmp_path / "export")
    storing.store(tmp_path / "export", CHOSEN, {})
    threshold.change(tmp_path / "export", threshold.F1)
    assert exports.read(tmp_path / "export").postprocessing is None
