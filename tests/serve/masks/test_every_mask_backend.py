"""The contract of every backend of segmentation models, and what their logits become."""

from __future__ import annotations

import numpy as np
import pytest
from coloured import build, scene

import serve
from serve import backends, tasks
from serve.backends import measuring
from serve.masks.task import TASK
from trainers.errors import UserError
from trainers.segmentation.exported_segmenter import ExportedSegmenter
from trainers.segmentation.resizing import mask_of

pytestmark = pytest.mark.slow(20)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return tasks.read(build(tmp_path_factory.mktemp("export") / "coloured"))


@pytest.fixture(scope="module", params=TASK.backends)
def loaded(request, export):
    return backends.load(request.param, export, 1)


def test_its_masks_are_those_of_the_export_and_others_are_rejected(loaded, export):
    found = measuring.parity(loaded, export, TASK.sample_squares(export))
    assert found.problem is None
    assert found.figures == {"same": 1.0, "IoU": 1.0}
    results = loaded.run(TASK.sample_squares(export))
    swapped = [each[..., [0, 2, 1, 3]] for each in results]
    assert "of the pixels have another class" in TASK.parity(export, swapped).problem


def test_a_batch_gives_the_same_logits_as_its_images_alone_and_keeps_them(loaded, export):
    squares = np.stack(
        [export.square(scene(50, 90, {"red": (i, 5, 30 + i, 20), "blue": (60, i, 80, 30)})) for i in range(5)]
    )
    together = loaded.run(squares)
    for square, logits in zip(squares, together, strict=True):
        np.testing.assert_allclose(loaded.run(square[np.newaxis])[0], logits, atol=1e-4)


def test_masks_of_any_frame_equal_the_saved_models(loaded, export):
    import tensorflow as tf

    whole = tf.saved_model.load(str(export.saved_model)).signatures["serving_default"]
    for height, width in ((30, 44), (64, 64), (200, 320)):
        image = scene(
            height, width, {"red": (2, 3, width // 2, height // 2), "green": (width // 2, 5, width - 3, 25)}
        )
        expected = whole(images=tf.constant(image[np.newaxis]))["masks"].numpy()[0]
        found = mask_of(loaded.run(export.square(image)[np.newaxis])[0], height, width)
        assert (found == expected).mean() > 0.999


def test_regions_vote_alike_wherever_the_export_is_served(tmp_path):
    """Of two squares that touch, the blue one is a third: it takes both, in the service and as a model of MLflow."""
    image = scene(64, 64, {"red": (4, 4, 34, 24), "blue": (34, 4, 49, 24), "green": (10, 40, 50, 60)})
    plain, voted = (build(tmp_path / str(share), region_vote=share) for share in (0.0, 0.2))
    with serve.Segmenter(plain) as segmenter:
        before = segmenter.segment(image)[0].mask
    with serve.Segmenter(voted) as segmenter:
        after = segmenter.segment(image)[0].mask
    assert np.array_equal(np.unique(before), [0, 1, 2, 3])
    assert np.array_equal(np.unique(after), [0, 2, 3])
    assert (after[before == 1] == 3).all()
    pyfunc = ExportedSegmenter(voted).predict({"images": image[np.newaxis]})["masks"][0]
    assert np.array_equal(pyfunc, after)


def test_an_export_without_logits_is_refused_in_one_line(tmp_path):
    import json

    folder = build(tmp_path / "old")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["outputs"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="made by an earlier version, without logits; delete it and promote"):
        tasks.read(folder)
