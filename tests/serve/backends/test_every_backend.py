"""The contract of every backend, and the choice of the fastest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rectangles import JUDGED, build, picture

from serve import backends
from serve.backends import cache, choosing, measuring
from serve.backends.suppression import gather_detections
from serve.jobs.options import Options
from serve.tasks.detection import TASK as DETECTION
from trainers.detection import export as exports
from trainers.detection import samples
from trainers.errors import UserError

pytestmark = pytest.mark.slow


NEEDS = {"openvino-int8": "nncf", "onnxruntime": "tf2onnx"}  # libraries of an extra


@pytest.fixture(scope="module", params=DETECTION.backends)
def name(request):
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return request.param


@pytest.fixture(scope="module")
def loaded(name, rectangles):
    return backends.load(name, rectangles, 1)


def test_its_detections_match_the_trained_models_or_its_loss_of_map_is_measured(loaded, rectangles, backend):
    shown = samples.load(rectangles.directory / exports.SAMPLES)
    if loaded.approximate:
        assert measuring.loss(loaded, rectangles, backend) == (pytest.approx(0.0, abs=0.01), JUDGED)
        return
    found = measuring.parity(loaded, rectangles, shown.images)
    assert found.problem is None
    assert found.figures["mAP"] == pytest.approx(shown.mean_ap(shown.found, rectangles.classes), abs=1e-3)
    assert found.figures["score"] < 1e-3


def test_a_batch_gives_the_same_detections_as_its_images_alone(loaded):
    images = np.stack([picture(64, 64, {"red": (0.1, 0.1 * i, 0.5, 0.1 * i + 0.3)}) for i in range(1, 6)])
    together = loaded.run(images)
    assert len(together) == 5
    for image, each in zip(images, together, strict=True):
        alone = loaded.run(image[np.newaxis])[0]
        np.testing.assert_allclose(each.boxes, alone.boxes, atol=1e-5)
        np.testing.assert_allclose(each.scores, alone.scores, atol=1e-5)


def test_concurrent_streams_give_the_same_detections_as_sequential_calls(rectangles, loaded, name):
    several = backends.load(name, rectangles, 2)
    images = [picture(64, 64, {"red": (0.1, 0.05 * i, 0.5, 0.05 * i + 0.3)})[np.newaxis] for i in range(12)]
    with ThreadPoolExecutor(several.streams) as pool:
        together = list(pool.map(several.run, images))
    for image, [each] in zip(images, together, strict=True):
        [alone] = loaded.run(image)
        np.testing.assert_allclose(each.boxes, alone.boxes, atol=1e-5)
        np.testing.assert_allclose(each.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("options", [Options(), Options(threshold=0.1), Options(track=True)])
def test_without_the_scores_that_do_not_matter_the_others_are_the_same(loaded, rectangles, options):
    images = samples.load(rectangles.directory / exports.SAMPLES).images
    least = DETECTION.least_score(rectangles, options)
    assert 0 < least <= rectangles.threshold
    for every, some in zip(loaded.run(images), loaded.run(images, least), strict=True):
        expected, found = every.above(least), some.above(least)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-5)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_array_equal(found.classes, expected.classes)


def test_a_later_call_does_not_change_returned_detections(loaded):
    first = loaded.run(picture(64, 64, {"red": (0.1, 0.1, 0.5, 0.5)})[np.newaxis])[0]
    before = first.boxes.copy()
    loaded.run(picture(64, 64, {"red": (0.5, 0.5, 0.9, 0.9)})[np.newaxis])
    np.testing.assert_array_equal(first.boxes, before)


def test_an_empty_image_has_no_detections(loaded):
    assert len(loaded.run(picture(64, 64, {})[np.newaxis])[0].scores) == 0


OPENED_AND_CLOSED = """
import gc, os, signal, sys
from pathlib import Path
from serve import backends
from trainers.detection import export

chosen = export.read(Path(sys.argv[2]))
opened = [backends.load(sys.argv[1], chosen, 1) for _ in range(3)]
while opened:
    opened.pop(0)
    gc.collect()
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
os.kill(os.getpid(), signal.SIGINT)
print(len(heard))
"""


def test_a_program_that_closed_models_in_the_order_of_their_opening_still_hears_signals(name, rectangles):
    command = [sys.executable, "-c", OPENED_AND_CLOSED, name, str(rectangles.directory)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


def test_an_unknown_backend_is_refused_with_the_list_of_backends(rectangles):
    with pytest.raises(
        UserError,
        match="unknown backend 'abacus'; available: openvino, openvino-int8, onnxruntime, tensorflow",
    ):
        backends.load("abacus", rectangles, 1)


def test_the_fastest_valid_backend_is_chosen_and_the_choice_is_cached(rectangles, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.delenv(choosing.BACKENDS)
    choice, backend = choosing.load_chosen(rectangles, 1)
    passed = {
        row.backend: row.seconds for row in choice.measured if row.rejected(choosing.MAX_MAP_DROP) is None
    }
    assert set(passed) >= {each for each in DETECTION.backends if each not in NEEDS}
    assert {row.backend for row in choice.measured} == set(DETECTION.backends)
    assert choice.backend == min(passed, key=passed.get)
    assert any(f"<- in use, batch {choice.batch}" in line for line in choice.table())
    assert choice.batch in measuring.BATCHES
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again, _ = choosing.load_chosen(rectangles, 1)
    assert again == choice
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert type(backend) is type(backends.load(choice.backend, rectangles, 1))


def test_only_the_backends_that_the_environment_names_are_measured(rectangles, monkeypatch):
    monkeypatch.setenv(choosing.BACKENDS, "tensorflow, abacus,openvino")
    assert choosing._measured(rectangles) == ["openvino", "tensorflow"]
    monkeypatch.setenv(choosing.BACKENDS, "abacus")
    assert choosing._measured(rectangles) == list(DETECTION.backends)


class Taking:
    """Takes `seconds` per image, times a factor for each call from `others` (other load on the machine), then 1."""

    streams = 1

    def __init__(self, clock, seconds, others=()):
        self._clock, self._seconds, self._others = clock, seconds, iter(others)

    def run(self, images, least=0.0):
        self._clock.now += len(images) * self._seconds * next(self._others, 1.0)
        return []


def test_a_moment_of_other_load_does_not_change_the_order(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(measuring, "busy_clock", lambda: measuring.time.perf_counter)
    disturbed = Taking(clock, 0.010, others=[1, 1, 5, 5, 5, 5])
    taken = measuring.time_backends(
        {"quick": disturbed, "slow": Taking(clock, 0.012)}, np.zeros([1, 4, 4, 3], np.uint8)
    )
    assert taken["quick"] == pytest.approx((0.010, 0.010))
    assert taken["slow"] == pytest.approx((0.012, 0.012))


def test_other_load_on_the_machine_changes_neither_order_nor_batch(monkeypatch):
    monkeypatch.setattr(measuring, "gpu_ids", list)
    assert measuring.busy_clock() is time.process_time
    monkeypatch.setattr(measuring, "gpu_ids", lambda: ["0"])  # whose work takes no CPU time
    assert measuring.busy_clock() is time.perf_counter


def test_the_cache_keeps_the_most_recently_used_exports(rectangles, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    for number in range(cache.MAX_EXPORTS + 3):
        folder = cache.folder(replace(rectangles, export_id=f"{number}"))
        os.utime(folder, (number, number))
    cache.folder(rectangles)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {rectangles.export_id, *map(str, range(4, cache.MAX_EXPORTS + 3))}


class Shifted:
    approximate = False

    def __init__(self, backend):
        self._backend = backend

    def run(self, images, least=0.0):
        return [
            samples.DetectionArrays(each.boxes + 0.1, each.scores, each.classes)
            for each in self._backend.run(images)
        ]


def test_a_backend_with_other_detections_is_rejected(backend, rectangles):
    shown = samples.load(rectangles.directory / exports.SAMPLES)
    assert measuring.parity(Shifted(backend), rectangles, shown.images).problem is not None


def row(backend, seconds, lost=None):
    return measuring.Measured(backend, None, {"mAP": 0.5}, seconds, seconds, lost=lost, judged=100)


def chosen(rectangles, rows, max_map_drop):
    choosing.save_choice(rectangles, choosing.Choice(rectangles.export_id, 1, "openvino", rows))
    return choosing.choice_for(rectangles, 1, max_map_drop)


def test_a_quantized_backend_is_used_only_if_it_loses_no_more_than_is_allowed(
    rectangles, tmp_path, monkeypatch
):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    rows = (row("openvino", 0.02), row("openvino-int8", 0.01, lost=0.004))
    assert chosen(rectangles, rows, 0.005).backend == "openvino-int8"
    assert chosen(rectangles, rows, 0.003).backend == "openvino"
    assert chosen(rectangles, (rows[0], row("openvino-int8", 0.01, lost=-0.01)), 0).backend == "openvino"
    with pytest.raises(
        UserError, match=r"openvino-int8: mAP 0.0040 lower on 100 images \(--max-map-drop 0.001\)"
    ):
        chosen(rectangles, rows[1:], 0.001)


def test_an_export_without_calibration_images_is_not_quantized(rectangles, tmp_path):
    with pytest.raises(UserError, match="no calibration images; export it again"):
        backends.load("openvino-int8", replace(rectangles, directory=tmp_path), 1)


def test_the_best_batch_is_the_smallest_that_is_as_fast_as_any(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measuring, "busy_clock", lambda: lambda: clock.now)

    def best(seconds_of_batch):
        class Network:
            streams = 1

            def run(self, images, least=0.0):
                clock.now += seconds_of_batch(len(images))

        return measuring.best_batch(Network(), np.zeros([1, 4, 4, 3], np.uint8))

    assert best(lambda size: size * 0.01) == 1
    assert best(lambda size: 0.05 + size * 0.01) == 32
    assert best(lambda size: max(size, 4) * 0.01) == 4


def test_an_export_that_no_backend_can_run_is_refused_with_the_reasons(tmp_path):
    export = exports.read(build(tmp_path / "broken", broken=True))
    with pytest.raises(UserError, match=r"no backend can run it on this machine \(openvino: .*tensorflow: "):
        choosing.choose(export, 1)


def test_kept_boxes_are_sorted_clipped_limited_in_number_and_numbered_from_1():
    boxes = np.array([[[0.1, 0.1, 0.3, 0.3], [-0.2, 0.5, 0.4, 1.2], [1.1, 0.0, 1.4, 0.2]]] * 2, np.float32)
    scores = np.array(
        [[[0.2, 0.9], [0.8, 0.1], [0.7, 0.0]], [[0.1, 0.3], [0.6, 0.5], [0.4, 0.2]]], np.float32
    )
    # rows of image, class index, box; the third box is outside the image; -1 in unused rows
    selected = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 2], [0, 0, 0], [1, 1, 1], [-1, -1, -1]], np.int32)
    first, second = gather_detections(selected, boxes, scores, max_detections=2)
    np.testing.assert_allclose(first.scores, [0.9, 0.8])
    np.testing.assert_array_equal(first.classes, [2, 1])
    np.testing.assert_allclose(first.boxes, [[0.1, 0.1, 0.3, 0.3], [0.0, 0.5, 0.4, 1.0]])
    np.testing.assert_allclose(second.scores, [0.5])
    assert second.boxes.shape == (1, 4)
