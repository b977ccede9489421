"""The structure of serve: what its modules may import, and how many a folder may hold."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "serve").rglob("*.py"))
COMMANDS = {"serve.run", "serve.detect", "serve.promote", "serve.token"}
# tuning's modules that serve may use, and who uses them
TUNING = {
    "tuning.api.exporting": {"serve/exports/winner.py"},
    "tuning.stores.opening": {"serve/storage/opening.py"},  # an object store
    "tuning.stores.store": {
        "serve/api/files.py",
        "serve/storage/job_files.py",
        "serve/storage/stored_job_files.py",
        "serve/storage/marks.py",
        "serve/storage/opening.py",
        "serve/storage/s3.py",
    },
    "tuning.stores.folders": {"serve/exports/model_folder.py"},  # whole folders in it
    "tuning.stores.arguments": {"serve/exports/locating.py"},  # what --studies-dir may be
    "tuning.study.storage.working_copy": {"serve/exports/locating.py"},  # of a study in S3
    "tuning.study.storage.postgresql": {  # addresses, passwords and errors of PostgreSQL
        "serve/deployment/settings.py",
        "serve/storage/postgresql.py",
        "serve/token.py",
    },
    "tuning.tracking.notes": {"serve/exports/winner.py"},  # the MLflow run of a trial
    "tuning.execution.environment": {"serve/backends/choosing.py"},  # the name of the CPU
    "tuning.execution.ray_processes": {"serve/deployment/serving.py"},  # starts Ray
}


def imported(path: Path) -> Iterator[str]:
    """Every module of this repository that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:  # `from a import b` imports the module a.b if there is one, otherwise a
                full = f"{node.module}.{alias.name}"
                yield full if (ROOT / full.replace(".", "/")).with_suffix(".py").is_file() else node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_command(path):
    assert not COMMANDS & set(imported(path))


def test_serve_uses_tuning_only_for_a_study_s_best_trial_and_the_named_exceptions():
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for name in imported(path):
            if name.split(".")[0] == "tuning":
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert found == TUNING


@pytest.mark.parametrize("package", ["serve", "tests/serve"])
def test_no_folder_holds_more_than_15_modules(package):
    counts = Counter(path.parent for path in (ROOT / package).rglob("*.py"))
    assert max(counts.values()) <= 15
