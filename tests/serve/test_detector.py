"""serve.Detector: the Python API for images and videos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import clips
import numpy as np
import pytest
from PIL import Image
from rectangles import picture

import serve
from serve.backends.choosing import Choice, save_choice
from trainers.errors import UserError

BOX = (0.2, 0.3, 0.6, 0.7)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def detector(rectangles_folder):
    with serve.Detector(rectangles_folder, backend="openvino", threads=1) as detector:
        yield detector


def test_importing_serve_imports_no_runtime():
    code = "import serve, sys; print({'tensorflow', 'openvino', 'ray', 'av', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert not done.stderr


def test_it_knows_its_classes_threshold_and_backend(detector):
    assert detector.classes == ("red", "green", "blue")
    assert detector.threshold == 0.5
    assert detector.backend == "openvino"


def test_an_array_gives_one_result_with_normalised_boxes_and_ids_from_1(detector):
    (found,) = detector.detect(picture(120, 200, {"green": BOX}))
    assert len(found) == 1
    assert found.boxes.shape == (1, 4)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    np.testing.assert_allclose(found.boxes[0], BOX, atol=0.03)
    assert found.class_ids.tolist() == [2]
    assert found.class_names == ("green",)


def test_arrays_and_paths_of_different_sizes_are_answered_in_order(detector, tmp_path):
    names = ["red", "green", "blue"] * 10
    images = [picture(64 + 3 * i, 200 - 3 * i, {name: BOX}) for i, name in enumerate(names)]
    paths = [tmp_path / "a.png", str(tmp_path / "b.jpg")]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray(image).save(path)
    found = detector.detect([*paths, *images[2:]])
    assert [each.class_names for each in found] == [(name,) for name in names]
    for each in found:
        np.testing.assert_allclose(each.boxes[0], BOX, atol=0.04)


def test_one_path_gives_one_result_and_no_images_give_none(detector, tmp_path):
    Image.fromarray(picture(64, 64, {"red": BOX})).save(tmp_path / "one.png")
    assert detector.detect(tmp_path / "one.png")[0].class_names == ("red",)
    assert detector.detect([]) == []


def test_the_threshold_selects_detections(detector):
    image = picture(64, 64, {"red": BOX})
    assert [len(detector.detect(image, threshold=each)[0]) for each in (0, 0.5, 0.99, 1)] == [1, 1, 0, 0]
    assert detector.detect(image, threshold=0.99)[0].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (7, "images must be an array, a path or a list of them, not int"),
        (None, "not NoneType"),
        ([None], "an image must be an array or a path, not NoneType"),
        ([[1, 2, 3]], "an image must be an array or a path, not list"),
        (np.zeros((64, 64), np.uint8), r"must be \(H, W, 3\) uint8 RGB, not 64x64 uint8"),
        (np.zeros((64, 64, 4), np.uint8), "not 64x64x4 uint8"),
        (np.zeros((64, 64, 3), np.float32), "not 64x64x3 float32"),
        (np.zeros((0, 64, 3), np.uint8), "not 0x64x3 uint8"),
        ("gone.jpg", "gone.jpg: no such file"),
        (__file__, "test_detector.py: not an image"),
    ],
)
def test_what_is_not_an_image_is_refused_in_one_line(detector, images, says):
    with pytest.raises(UserError, match=says) as error:
        detector.detect(images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high", True])
def test_an_invalid_threshold_is_refused(detector, threshold):
    with pytest.raises(UserError, match="threshold must be"):
        detector.detect([], threshold=threshold)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "give either an export or study=NAME"),
        ({"export": "a", "study": "b"}, "give either an export or study=NAME"),
        ({"export": 5}, "export must be a str or Path, not int"),
        ({"export": "nowhere"}, "nowhere: not an export"),
        ({"study": "night"}, "no such study"),
        ({"study": "night", "studies_dir": 3}, "studies_dir must be"),
        ({"export": "RECTANGLES", "backend": "abacus"}, "unknown backend 'abacus'"),
        ({"export": "RECTANGLES", "backend": 1}, "backend must be a str"),
        ({"export": "RECTANGLES", "threads": 0}, "threads must be at least 1"),
        pytest.param(
            {"export": "models:/street@champion", "tracking_uri": "sqlite:////nowhere/at.db"},
            "cannot be fetched",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_in_one_line(arguments, says, rectangles_folder):
    if arguments.get("export") == "RECTANGLES":
        arguments = arguments | {"export": rectangles_folder}
    with pytest.raises(UserError, match=says) as error:
        serve.Detector(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_video_is_annotated_with_all_results(detector, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 20, audio="aac")
    reported = []
    manifest = detector.annotate(
        str(source), tmp_path / "out.webm", detections=tmp_path / "found.jsonl", coco=str(tmp_path / "coco.json"),
        preview=tmp_path / "preview.gif", track=True, report=lambda progress: reported.append(progress.frames),
    )  # fmt: skip
    assert manifest["frames"] == manifest["objects"] == 20
    assert manifest["backend"] == "openvino"
    assert manifest["stage_seconds"]["network"] > 0
    assert len(clips.facts_of(tmp_path / "out.webm")["times"]) == 20
    assert len((tmp_path / "found.jsonl").read_text().splitlines()) == 20
    assert reported[-1] == 20
    names = {"clip.mp4", "out.webm", "found.jsonl", "coco.json", "preview.gif"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "no output was chosen"),
        ({"video": "gone.mp4", "out": "out.webm"}, "gone.mp4: no such file"),
        ({"video": None, "out": "out.webm"}, "video must be a str or Path"),
        ({"out": 4}, "out must be a str or Path"),
        ({"out": "nowhere/out.webm"}, "the folder does not exist"),
        ({"out": "out.avi"}, "container: Input should be 'webm' or 'mp4'"),
        ({"out": "out.webm", "every": 0}, "every: Input should be greater than or equal to 1"),
        ({"out": "out.webm", "classes": "red"}, "classes must be a list of names"),
        ({"detections": "."}, "is a folder"),
        ({"video": "noise.mp4", "out": "out.webm"}, "not a readable video"),
    ],
)
def test_an_invalid_request_for_a_video_writes_nothing(detector, arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips.make(tmp_path / "clip.mp4", 3)
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 100)
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError, match=says):
        detector.annotate(**({"video": "clip.mp4"} | arguments))
    assert set(tmp_path.iterdir()) == before


def test_the_cached_choice_of_backend_is_used(rectangles, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTOR_SERVING_CACHE", str(tmp_path))
    save_choice(rectangles, Choice(rectangles.export_id, 1, "openvino", ()))
    with serve.Detector(rectangles.directory, threads=1) as detector:
        assert detector.backend == "openvino"


@pytest.mark.slow
def test_a_script_without_a_main_guard_can_measure_the_backends(rectangles_folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import serve, numpy\n"
        f"detector = serve.Detector({str(rectangles_folder)!r}, threads=1)\n"
        "print(len(detector.detect(numpy.zeros((64, 64, 3), 'uint8'))))\n"
        "detector.close()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "DETECTOR_SERVING_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    assert done.stderr == ""
