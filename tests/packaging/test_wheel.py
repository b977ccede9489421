"""The distributions hold everything; the wheel, away from the checkout, runs the notebooks and the command."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import built
import pytest

from trainers.datasets.toy_city import scenes
from trainers.datasets.toy_city.video import write_video

pytestmark = [pytest.mark.slow(230), pytest.mark.timeout(1800)]
PACKAGES = ("detector_tuning", "serve", "tuning", "search_spaces", "trainers")
EXAMPLES = built.ROOT / "examples"


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
def run_notebook(environment):
    """run_notebook(name, folder, **arguments): a notebook of examples/, on the wheel, with its outputs."""
    spec = importlib.util.spec_from_file_location("run_examples", EXAMPLES / "run.py")
    assert spec is not None
    assert spec.loader is not None
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)

    def run(name: str, folder: Path, **arguments: str) -> list[Any]:
        python = str(environment / "bin" / "python")
        return runner.run(EXAMPLES / f"{name}.ipynb", folder, python, **arguments).cells

    return run


@pytest.fixture(scope="module")
def own_images(run_notebook, tmp_path_factory) -> tuple[Path, list[Any]]:
    """The notebook that converts, checks, searches, promotes and detects: its studies' folder, and its cells."""
    folder = tmp_path_factory.mktemp("own")
    return folder, run_notebook("own_images", folder, max_steps="6")


def outputs(cells: list[Any]) -> list[bool]:
    """Whether each cell of code has an output, but the first, which only imports."""
    return [bool(cell.outputs) for cell in cells if cell.cell_type == "code"][1:]


def test_modules_come_from_the_wheel(environment, tmp_path):
    code = "import serve.api, trainers.datasets, tuning.study, search_spaces as s; print(serve.__file__, s.__file__)"
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert all(Path(path).is_relative_to(environment) for path in done.stdout.split())


def test_the_notebook_on_own_images_runs(own_images):
    folder, cells = own_images
    assert all(outputs(cells))
    summary = json.loads((folder / "own" / "summary.json").read_text(encoding="utf-8"))
    assert "completed" in [trial["state"] for trial in summary["trials"]]


def test_the_notebook_for_the_first_search_runs(run_notebook, tmp_path):
    assert all(outputs(run_notebook("quickstart", tmp_path, trials="2", max_steps="6")))


def test_the_installed_command_writes_the_report(own_images, command):
    folder, _ = own_images
    done = command(folder, "report", "own", "--studies-dir", ".")
    assert done.returncode == 0, done.stderr[-2000:]
    page = (folder / "own" / "report.html").read_text(encoding="utf-8")
    assert "<style>" in page
    assert "<script>" in page


def test_the_installed_command_detects_in_a_video(own_images, command):
    folder, _ = own_images
    write_video(folder / "drive.mp4", scenes.ToyCity(), 0, count=5)
    words = [
        "detect",
        "drive.mp4",
        "--local",
        "--study",
        "own",
        "--studies-dir",
        ".",
        "--backend",
        "tensorflow",
    ]
    done = command(folder, *words, "--out", "found.webm", "--detections", "found.jsonl")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / "found.webm").stat().st_size > 0
    lines = (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(5))
