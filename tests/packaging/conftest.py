"""What the tests of the wheel share: it is built once, and installed once in an environment away from the checkout."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import built
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """The source distribution and the wheel."""
    if not (built.ROOT / ".git").exists():
        pytest.skip("git tells which files belong to the project, and this is no clone")
    return built.build(tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="session")
def environment(distributions, tmp_path_factory) -> Path:
    """A virtual environment with the wheel and, borrowed, all packages of the lock.

    Installing the lock anew would download or copy 2.9 GB. Instead a .pth file puts the site-packages of the
    environment that runs these tests behind those of the new one. The project itself is not installed there, so that
    its modules can come from the wheel only. pip is the copy that ensurepip brings; nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    [site] = folder.glob("lib/python*/site-packages")
    locked = sysconfig.get_paths()["purelib"]
    (site / "locked.pth").write_text(f"import site; site.addsitedir({locked!r})\n", encoding="utf-8")
    words = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(distributions[1])]
    subprocess.run([str(folder / "bin" / "python"), *words], env=_clean(), check=True)
    return folder


@pytest.fixture(scope="session")
def command(environment) -> Command:
    """Runs `detector-tuning` of that environment in a folder: command(cwd, *arguments) -> CompletedProcess."""

    def run(cwd: Path, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        words = [str(environment / "bin" / "detector-tuning"), *arguments]
        return subprocess.run(
            words, cwd=cwd, env=_clean(), capture_output=True, text=True, check=False, timeout=timeout
        )

    return run


@pytest.fixture(scope="session")
def run_notebook(environment):
    """run_notebook(name, folder, **arguments): a notebook of examples/, on the wheel, with its outputs."""
    examples = built.ROOT / "examples"
    spec = importlib.util.spec_from_file_location("run_examples", examples / "run.py")
    assert spec is not None
    assert spec.loader is not None
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)

    def run(name: str, folder: Path, **arguments: str) -> list[Any]:
        python = str(environment / "bin" / "python")
        return runner.run(examples / f"{name}.ipynb", folder, python, **arguments).cells

    return run


@pytest.fixture(scope="session")
def has_outputs() -> Callable[[list[Any]], bool]:
    """Whether each cell of code has an output, but the first, which only imports."""
    return lambda cells: all(
        cell.outputs for cell in [each for each in cells if each.cell_type == "code"][1:]
    )


def _clean() -> dict[str, str]:
    """The environment variables without those that would lead a new process to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
