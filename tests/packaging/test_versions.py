"""Versions that stand in two places are the same: the locks, the lists for pip, pre-commit, the change log."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import built
import pytest

import detector_tuning
from detector_tuning import requirements

LOCKS = {"cpu": "requirements.lock", "cuda": "requirements-cuda.lock"}


def pins(path: Path) -> set[str]:
    """Its lines `name==version ; marker`, without hashes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.rstrip(" \\") for line in lines if re.match(r"[a-z0-9]", line)}


def names(lines: set[str]) -> set[str]:
    return {re.split(r"[^\w-]", line)[0].lower().replace("_", "-") for line in lines}


@pytest.mark.parametrize("variant", LOCKS)
def test_the_list_for_pip_has_the_versions_of_the_lock(variant):
    listed = pins(requirements.path(variant))
    assert listed
    assert listed <= pins(built.ROOT / LOCKS[variant])


@pytest.mark.parametrize("variant", LOCKS)
def test_the_list_for_pip_has_every_dependency_and_no_tool_for_development(variant):
    project = tomllib.loads((built.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = names(pins(requirements.path(variant)))
    assert names(set(project["dependencies"])) <= listed
    assert names(set(project["optional-dependencies"][variant])) & listed
    assert not {"pytest", "mypy", "ruff", "moto", "playwright"} & listed


@pytest.mark.parametrize(("words", "variant"), [([], "cpu"), (["--cuda"], "cuda")])
def test_the_command_prints_the_list(words, variant, capsys):
    assert requirements.main(words) == 0
    assert capsys.readouterr().out == requirements.path(variant).read_text(encoding="utf-8")


def test_the_change_log_has_a_section_for_this_version():
    log = (built.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(detector_tuning.__version__)}\]", log, re.MULTILINE)
