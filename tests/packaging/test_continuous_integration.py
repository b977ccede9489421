"""What runs on a commit and on a push agrees with the lock and with pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import built
import pytest
import yaml

HOOKS = yaml.safe_load((built.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((built.ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
TOOLS = ("ruff", "mypy")


def test_pre_commit_runs_the_tools_of_the_environment_and_no_other():
    [repository] = HOOKS["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].split()[0] for hook in repository["hooks"]]
    assert set(entries) == {f".venv/bin/{tool}" for tool in TOOLS}
    assert all(hook["language"] == "system" for hook in repository["hooks"])


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_of_the_environment_have_the_version_of_the_lock(tool):
    lock = (built.ROOT / "requirements.lock").read_text(encoding="utf-8")
    [locked] = re.findall(rf"^{tool}==(\S+)", lock, re.MULTILINE)
    words = [str(Path(sys.executable).with_name(tool)), "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == locked


def test_the_workflow_runs_ci_on_every_python_that_the_package_names():
    project = tomllib.loads((built.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    [job] = WORKFLOW["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == named
    assert job["steps"][-1] == {"run": ".ci/run"}
