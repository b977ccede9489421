"""The format of an export's folder: reading it, refusing damaged ones, and mapping boxes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from trainers.detection import export as exports
from trainers.detection import samples
from trainers.detection.export import Framing
from trainers.detection.samples import DetectionArrays
from trainers.errors import UserError


@pytest.fixture
def copy(rectangles_folder, tmp_path):
    return shutil.copytree(rectangles_folder, tmp_path / "copy")


def test_an_export_has_classes_threshold_and_framing(rectangles):
    assert rectangles.classes == ("red", "green", "blue")
    assert rectangles.threshold == 0.5
    assert rectangles.framing == Framing(64, "stretch")


def test_its_id_depends_on_its_files_alone(rectangles, copy):
    exports.amend(copy, study="night")
    again = exports.read(copy)
    assert again.export_id == rectangles.export_id
    assert again.manifest["study"] == "night"


def change(folder):
    (folder / "recipe.yaml").write_text("another")


def lose(folder):
    (folder / "samples.npz").unlink()


def add(folder):
    (folder / "more.bin").write_text("x")


def cut(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:100])


def age(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))


def pad(folder):
    """As an export was whose boxes were scaled twice from the padded input to the image."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["box_frame"]
    path.write_text(json.dumps(manifest | {"framing": manifest["framing"] | {"resize": "pad"}}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (change, "recipe.yaml: was added or changed after the export"),
        (lose, "samples.npz: is missing"),
        (add, "more.bin: was added or changed after the export"),
        (cut, "cannot be read as an export's manifest"),
        (age, "format 0, but this version reads 1"),
        (pad, "boxes are too large in images that are not square; export again"),
        (shutil.rmtree, "not an export"),
    ],
)
def test_a_damaged_export_is_refused_in_one_line(copy, damage, says):
    damage(copy)
    with pytest.raises(UserError, match=says) as error:
        exports.read(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (200, 30)])
def test_boxes_are_mapped_from_the_square_back_to_the_image(resize, height, width):
    framing = Framing(64, resize, (1, 2, 3))
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 4 : height // 2, width // 3 : 2 * width // 3] = 255
    square = framing.square(image)
    assert square.shape == (64, 64, 3)
    rows, columns = np.nonzero(square[..., 0] > 127)
    box = np.array([[rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]], np.float32) / 64
    expected = [height // 4 / height, width // 3 / width, height // 2 / height, (2 * width // 3) / width]
    shorter = 64 if resize == "stretch" else 64 * min(height, width) / max(height, width)
    coarse = max(0.06, 1.5 / shorter)  # one and a half pixels of the square
    np.testing.assert_allclose(framing.restore(box, height, width)[0], expected, atol=coarse)
    if resize == "pad" and height != width:
        assert tuple(square[-1, -1]) == (1, 2, 3)


def test_an_image_of_the_right_size_is_not_changed():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(Framing(64, "stretch").square(image), image)


def found(boxes, scores, classes) -> DetectionArrays:
    return DetectionArrays(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes)
    )


ONE = ([[0.1, 0.1, 0.5, 0.5]], [0.9], [1])


@pytest.mark.parametrize(
    ("other", "within"),
    [
        (ONE, True),
        (([[0.1, 0.1, 0.501, 0.5]], [0.895], [1]), True),
        (([[0.1, 0.1, 0.5, 0.5]], [0.8], [1]), False),
        (([[0.2, 0.1, 0.6, 0.5]], [0.9], [1]), False),
        (([[0.1, 0.1, 0.5, 0.5]], [0.9], [2]), False),
        (([], [], []), False),
        (([[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]], [0.9, 0.7], [1, 1]), False),
        (([[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]], [0.9, 0.05], [1, 1]), True),
    ],
)
def test_detections_are_equal_within_tolerance_of_boxes_scores_and_classes(other, within):
    assert samples.difference([found(*ONE)], [found(*other)]).within() is within
    assert samples.difference([found(*other)], [found(*ONE)]).within() is within
