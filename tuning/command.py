"""What the commands of this package share: where they print."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 140  # columns, where no terminal says


def console_of(stream: TextIO) -> Console:
    """Where a command prints: as wide as the terminal, or wide enough for a log."""
    from rich.console import Console

    return Console(file=stream) if stream.isatty() else Console(file=stream, width=LOG_WIDTH)
