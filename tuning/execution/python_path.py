"""PYTHONPATH for subprocesses, so that they find this package and the modules that register a user's models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_path(modules: Iterable[str] = ()) -> str:
    """PYTHONPATH for a subprocess: this package, the folders of these imported modules, and the current value."""
    paths = [str(ROOT)]
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            paths.append(str(Path(file).resolve().parents[name.count(".")]))
    paths += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join(dict.fromkeys(paths))
