"""The distributions hold everything, and the wheel runs away from the checkout (test_main_road.py goes further)."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import built
import pytest

pytestmark = pytest.mark.slow(20)
PACKAGES = ("detector_tuning", "serve", "tuning", "search_spaces", "trainers")


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


def test_modules_come_from_the_wheel(environment, tmp_path):
    code = "import serve.api, trainers.datasets, tuning.study, search_spaces as s; print(serve.__file__, s.__file__)"
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert all(Path(path).is_relative_to(environment) for path in done.stdout.split())


@pytest.mark.long
def test_the_notebook_for_the_first_search_runs(run_notebook, has_outputs, tmp_path):
    assert has_outputs(run_notebook("quickstart", tmp_path, trials="2", max_steps="6"))
