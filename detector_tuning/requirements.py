"""`detector-tuning requirements`: prints the versions that this release was tested with, for `pip install --no-deps -r`.

pip alone cannot resolve this project: the Object Detection API and tf-models-official pin packages of 2021 and ask for
many that nothing here imports. uv resolves them with the overrides in pyproject.toml; the result is in the two files
beside this module, which `make lock` writes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

SUMMARY = "print the tested versions of all dependencies, for pip"
DESCRIPTION = "Prints the tested versions of all dependencies as a requirements file. Install it with " \
    "`pip install --no-deps -r FILE`."  # fmt: skip


def path(variant: str) -> Path:
    """The requirements file for `variant`, cpu or cuda."""
    return Path(__file__).with_name(f"requirements-{variant}.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the requirements; returns the exit code."""
    parser = argparse.ArgumentParser(prog="detector-tuning requirements", description=DESCRIPTION)
    parser.add_argument("--cuda", action="store_true", help="with TensorFlow for NVIDIA GPUs")
    chosen = parser.parse_args(arguments)
    sys.stdout.write(path("cuda" if chosen.cuda else "cpu").read_text(encoding="utf-8"))
    return 0
