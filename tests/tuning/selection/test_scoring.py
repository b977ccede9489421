"""Scoring a pool with a real export: each image once, unreadable ones said, and the class scores of every detection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tiny_detector

from trainers.errors import UserError
from tuning.selection.network import Network
from tuning.selection.score_store import ScoreStore
from tuning.selection.scoring import networks_for, score_pool
from tuning.selection.strategies import get

pytestmark = pytest.mark.slow(6)
CLASSES = ("car", "bike")
LEVELS = (10, 60, 120, 180, 240)  # brightness


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "export"
    tiny_detector.write(folder, CLASSES)
    return folder


@pytest.fixture
def pool(tmp_path):
    """20 images, of which the one in the middle is no image."""
    folder = tmp_path / "pool"
    folder.mkdir()
    for place in range(20):
        picture = np.full((30, 40, 3), LEVELS[place % len(LEVELS)], np.uint8)
        cv2.imwrite(str(folder / f"{place:02d}.png"), picture)
    (folder / "10.png").write_bytes(b"not an image")
    return folder


def scored(pool, export, store, strategy="entropy"):
    network = Network(export)
    networks, roles = networks_for(get(strategy), network)
    seen: list[tuple[int, int]] = []
    found = score_pool(pool, store, networks, progress=lambda done, total: seen.append((done, total)))
    return found, list(store.scored(found.names, roles)), seen


def test_every_detection_has_the_scores_of_all_classes_in_the_coordinates_of_the_image(
    pool, export, tmp_path
):
    with ScoreStore(tmp_path / "scores") as store:
        _, images, _ = scored(pool, export, store)
    assert [image.name for image in images] == [f"{place:02d}.png" for place in range(20) if place != 10]
    for image in images:
        bright = LEVELS[int(image.name[:2]) % len(LEVELS)] / 255
        wanted = [score for score in (bright, bright / 2) if score >= 0.05]
        rows = np.outer(wanted, [1, tiny_detector.OTHERS])
        np.testing.assert_allclose(image.probabilities, rows.reshape(-1, 2), atol=1e-5)
        np.testing.assert_allclose(image.boxes, np.array(tiny_detector.BOXES)[: len(wanted)], atol=1e-5)
        np.testing.assert_allclose(image.embedding, [bright, 1 - bright], atol=1e-5)
        assert (image.width, image.height) == (40, 30)


def test_an_image_is_scored_once_and_again_only_when_it_has_changed(pool, export, tmp_path):
    with ScoreStore(tmp_path / "scores") as store:
        found, _, seen = scored(pool, export, store)
        assert found.scored == 19
        assert seen[-1] == (20, 20)
        assert [each.partition(":")[0] for each in found.problems] == ["10.png"]
    with ScoreStore(tmp_path / "scores") as store:  # another process
        assert scored(pool, export, store)[0].scored == 0
        cv2.imwrite(str(pool / "03.png"), np.full((31, 40, 3), 99, np.uint8))
        assert scored(pool, export, store)[0].scored == 1
        found, images, _ = scored(pool, export, store, "flip-disagreement")  # which sees each mirrored too
        assert found.scored == 19
        np.testing.assert_allclose(images[2].mirrored.boxes[0], [0.1, 0.6, 0.4, 0.9], atol=1e-5)


def test_what_was_scored_before_a_kill_is_kept(pool, export, tmp_path):
    def killed(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    networks, _ = networks_for(get("entropy"), Network(export))
    with ScoreStore(tmp_path / "scores") as store:
        with pytest.raises(KeyboardInterrupt):
            score_pool(pool, store, networks, progress=killed)
        assert score_pool(pool, store, networks).scored == 19 - 8


def test_an_export_whose_suppression_is_its_own_gives_the_same_detections(pool, export, tmp_path):
    tiny_detector.write(tmp_path / "other", CLASSES, suppression=None)
    found = []
    for place, folder in enumerate((export, tmp_path / "other")):
        with ScoreStore(tmp_path / f"scores{place}") as store:
            found.append(scored(pool, folder, store)[1])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-6)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_more_images_than_the_pool_has_are_refused_before_any_is_scored(tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "a.jpg").write_bytes(b"not read")
    with ScoreStore(tmp_path / "scores.sqlite") as store, pytest.raises(UserError) as refused:
        score_pool(pool, store, {}, count=2)
    assert str(refused.value) == f"--count 2 is more than the 1 images in {pool}; ask for fewer"
