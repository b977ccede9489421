"""The wheel and the source distribution hold everything, and the wheel works away from the checkout."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import built
import pytest

from trainers.datasets.toy_city import scenes
from trainers.datasets.toy_city.video import write_video

pytestmark = [pytest.mark.slow(230), pytest.mark.timeout(1800)]
PACKAGES = ("detector_tuning", "serve", "tuning", "search_spaces", "trainers")
# the smallest image size that MobileNet takes is the default, 160 px
SEARCH = [
    *("--space", "mobilenet", "--study", "street", "--data", "toy-city:train_images=12,validation_images=6"),
    *("--trials", "2", "--max-steps", "4", "--batch-size", "2"),
    *("--workers", "1", "--cpus-per-trial", "1"),
]


def of_the_packages() -> set[str]:
    """Every tracked file of the packages."""
    return {name for name in built.tracked() if PurePosixPath(name).parts[0] in PACKAGES}


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(distributions):
    with zipfile.ZipFile(distributions[1]) as wheel:
        held = {name for name in wheel.namelist() if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    assert held == of_the_packages()


def test_every_file_of_the_packages_is_in_the_source_distribution_and_so_are_the_locks(distributions):
    with tarfile.open(distributions[0]) as archive:
        held = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    assert of_the_packages() <= held
    assert {"requirements.lock", "requirements-cuda.lock", "pyproject.toml", "README.md", "LICENSE"} <= held


def test_every_package_of_the_wheel_says_that_it_is_typed():
    assert {f"{package}/py.typed" for package in PACKAGES} <= of_the_packages()


@pytest.fixture(scope="module")
def search(command, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which the installed command has searched, and what it printed."""
    folder = tmp_path_factory.mktemp("away")
    return folder, command(folder, "run", *SEARCH)


def test_modules_come_from_the_wheel(environment, tmp_path):
    code = "import serve.api, trainers.datasets, tuning.study, search_spaces as s; print(serve.__file__, s.__file__)"
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert all(Path(path).is_relative_to(environment) for path in done.stdout.split())


def test_the_installed_command_searches(search):
    folder, done = search
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    summary = json.loads((folder / "studies" / "street" / "summary.json").read_text(encoding="utf-8"))
    states = [trial["state"] for trial in summary["trials"]]
    assert len(states) == 2
    assert "completed" in states, summary["trials"]


def test_the_installed_command_writes_the_report(search, command):
    folder, _ = search
    done = command(folder, "report", "street")
    assert done.returncode == 0, done.stderr[-2000:]
    page = (folder / "studies" / "street" / "report.html").read_text(encoding="utf-8")
    assert "<style>" in page
    assert "<script>" in page


def test_the_installed_command_detects_in_a_video(search, command):
    folder, _ = search
    write_video(folder / "drive.mp4", scenes.ToyCity(), 0, count=5)
    words = ["detect", "drive.mp4", "--local", "--study", "street", "--backend", "tensorflow"]
    done = command(folder, *words, "--out", "found.webm", "--detections", "found.jsonl")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / "found.webm").stat().st_size > 0
    lines = (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(5))
