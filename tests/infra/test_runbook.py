"""The runbook names the test in which each of its entries happens, and alerts lead to entries that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "infra" / "README.md").read_text()
RUNBOOK = re.split(r"^### ", TEXT.partition("## What to do when")[2], flags=re.MULTILINE)[1:]


def test_there_is_an_entry_for_each_thing_that_can_be_lost():
    titles = " ".join(entry.splitlines()[0] for entry in RUNBOOK).lower()
    assert all(thing in titles for thing in ("node", "head", "database", "store"))


@pytest.mark.parametrize("entry", RUNBOOK, ids=lambda entry: entry.splitlines()[0])
def test_an_entry_names_a_test_that_exists(entry):
    path, name = re.search(r"^Test: `(tests/\S+\.py)::(\w+)`$", entry, re.MULTILINE).groups()
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_alert_has_an_entry():
    rules = yaml.safe_load((ROOT / "infra" / "monitoring" / "alerts.yaml").read_text())
    anchors = {re.sub(r"[^\w -]", "", entry.splitlines()[0]).lower().replace(" ", "-") for entry in RUNBOOK}
    for group in rules["groups"]:
        for rule in group["rules"]:
            file, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert file == "infra/README.md"
            assert anchor in anchors


def test_helm_knows_each_repository_before_it_installs_from_it():
    for name in re.findall(r"helm install \S+ (\S+)/", TEXT):
        assert f"helm repo add {name} https://" in TEXT.partition("helm install")[0]


def test_each_file_that_a_comment_names_is_there():
    infra = ROOT / "infra"
    for path in [*infra.rglob("*.yaml"), *infra.rglob("Dockerfile")]:
        if "secrets" in path.parts:
            continue
        for named in re.findall(
            r"#.*?(?<![\w./-])((?:[\w-]+/)+[\w-]+\.(?:yaml|py|md|sql))\b", path.read_text()
        ):
            assert (infra / named).exists() or (ROOT / named).exists(), f"{path}: {named}"
