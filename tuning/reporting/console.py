"""The console that commands print to."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 140  # columns, if the output is not a terminal


def console_of(stream: TextIO) -> Console:
    """A console on `stream`: as wide as the terminal, or LOG_WIDTH columns in a log."""
    from rich.console import Console

    return Console(file=stream) if stream.isatty() else Console(file=stream, width=LOG_WIDTH)
