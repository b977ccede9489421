"""The software that decides a trial's results, to tell a machine whose code or libraries are not the driver's.

A machine that joins with another image, or with an older copy of the user's own modules, would train other networks
under the same recipe.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

PACKAGES = ("tuning", "search_spaces", "trainers")
TENSORFLOW = ("tensorflow", "tensorflow-cpu")  # the same release, with and without CUDA
LIBRARIES = ("tf-keras", "tf-models-research-object-detection", "numpy", "opencv-python-headless")
MISSING = "missing"


def software(modules: Iterable[str] = ()) -> dict[str, str]:
    """Python's version, those of the libraries, and digests of this code and of the user's `modules`, by name."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    found["tensorflow"] = next((v for name in TENSORFLOW if (v := _version(name)) != MISSING), MISSING)
    found |= {name: _version(name) for name in LIBRARIES}
    ours = [name for name in modules if name.partition(".")[0] not in PACKAGES]
    return found | {f"the code of {name}": _digest(name) for name in (*PACKAGES, *ours)}


def difference(driver: Mapping[str, str]) -> str:
    """How this machine's software differs from the driver's, which `software` returned there; "" if it does not.

    What the driver itself lacks, such as a trainer that only the machines have, is not compared.
    """
    modules = [name.removeprefix("the code of ") for name in driver if name.startswith("the code of ")]
    here = software(modules)
    found = [
        f"{name} is {here[name]}, the driver's {there}"
        for name, there in driver.items()
        if there not in (MISSING, here[name])
    ]
    return f"{'; '.join(found)} (install the same, and restart its Ray)" if found else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _digest(module: str) -> str:
    """The first digits of the SHA-256 of a module's source, or of all of a package's."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        found = None
    if found is None or found.origin is None:
        return MISSING
    origin = Path(found.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(origin.parent).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]
