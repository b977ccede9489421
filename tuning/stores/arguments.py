"""The flag --studies-dir of the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from tuning.stores.location import studies_folder


def add_studies_dir(add: Callable[..., Any]) -> None:
    """Add the flag --studies-dir, whose value is a folder: of an object store, this machine's working copy."""
    add(
        "--studies-dir",
        type=_studies_folder,
        default=Path("studies"),
        metavar="DIR",
        help="a folder, or s3://bucket/prefix (default: ./studies)",
    )


def _studies_folder(text: str) -> Path:
    try:
        return studies_folder(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
