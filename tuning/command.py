"""What the commands of this package share: how they refuse, and where they print."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

from trainers.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

DETECTOR_TRAINER = "trainers.object_detection_api.trainer:alone_in_process"
LOG_WIDTH = 140  # columns, where no terminal says


class OneLineParser(argparse.ArgumentParser):
    """Refuses wrong arguments in one line and with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        print(f"error: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def in_one_line(error: UserError | OSError) -> str:
    """What a person needs of an error."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)


def console_of(stream: TextIO) -> Console:
    """Where a command prints: as wide as the terminal, or wide enough for a log."""
    from rich.console import Console

    return Console(file=stream) if stream.isatty() else Console(file=stream, width=LOG_WIDTH)
