"""The source distribution and the wheel, built in a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def tracked() -> list[str]:
    """Every file of the project that git knows or would add, relative to the root; what is ignored is not in it."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted({name for name in listed if name and (ROOT / name).is_file()})


def build(folder: Path) -> tuple[Path, Path]:
    """The source distribution of the checkout, and the wheel that is built from it; both under `folder`.

    By setuptools of this environment, without isolation: nothing is downloaded.
    """
    checkout = folder / "checkout"
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    source = _built("build_sdist", checkout, folder)
    shutil.unpack_archive(source, folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    return source, _built("build_wheel", unpacked, folder)


def _built(what: str, project: Path, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, str(folder)], cwd=project, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / done.stdout.splitlines()[-1]
