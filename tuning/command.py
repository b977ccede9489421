"""What the commands of this package share: the console that they print to, and the flag --studies-dir."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from trainers.errors import UserError
from tuning.stores.location import studies_folder

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 140  # columns, if the output is not a terminal


def console_of(stream: TextIO) -> Console:
    """A console on `stream`: as wide as the terminal, or LOG_WIDTH columns in a log."""
    from rich.console import Console

    return Console(file=stream) if stream.isatty() else Console(file=stream, width=LOG_WIDTH)


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
