"""TensorFlow's and absl's start-up lines never reach the terminal of a user of serve."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import clips
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path):
    """A user's environment: no log level set, no cached measurements."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TF_CPP", "ABSL", "PYTEST", "DETECTOR_SERVING"))
    }
    return plain | {"DETECTOR_SERVING_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}


def run(environment, folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_detecting_with_tensorflow_prints_only_the_table_and_the_progress(
    environment, rectangles_folder, tmp_path
):
    clips.make(tmp_path / "clip.mp4", 3)
    words = (
        "--local",
        "--model",
        str(rectangles_folder),
        "--backend",
        "tensorflow",
        "--detections",
        "found.jsonl",
    )
    done = run(environment, tmp_path, "serve.detect", "clip.mp4", *words)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["backend", "tensorflow", "frames"], done.stderr
    assert done.stdout == "detections: found.jsonl\n"


def test_measuring_the_backends_prints_nothing_of_theirs(environment, rectangles_folder, tmp_path):
    words = ("--model", str(rectangles_folder), "--data", "data", "--prepare", "--cpus", "1")
    done = run(environment, tmp_path, "serve.run", *words)
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "model", "measuring", "backend", "openvino", "openvino-int8", "onnxruntime", "tensorflow", "token",
    ]  # fmt: skip
