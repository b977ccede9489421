"""What trainers.datasets may import: nothing above it, and no TensorFlow unless a function needs it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "trainers" / "datasets").rglob("*.py"))
MODULES = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in FILES]
ABOVE = {"tuning", "serve", "search_spaces", "ray", "optuna", "mlflow"}
HEAVY = {"tensorflow", "keras", "tf_keras", "object_detection"}


def imported(file: Path) -> set[str]:
    """The top-level packages that a module imports anywhere, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(("module", "file"), zip(MODULES, FILES, strict=True), ids=MODULES)
def test_no_module_imports_what_is_above_it(module, file):
    assert not imported(file) & (ABOVE | HEAVY)


def loaded_by(imports: str) -> set[str]:
    """The top-level packages that are loaded in a new process after some imports."""
    script = f"{imports}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


def test_no_module_loads_tensorflow_or_what_is_above_it_when_it_is_imported():
    every = "\n".join(f"import {name}" for name in MODULES if not name.endswith("__main__"))
    assert not loaded_by(f"{every}\nimport trainers.datasets.__main__") & (ABOVE | HEAVY)


def test_importing_the_package_loads_no_library():
    assert not loaded_by("import trainers.datasets") & {
        "numpy",
        "PIL",
        "cv2",
        "boto3",
        "pydantic",
        "rich",
        "yaml",
    }
