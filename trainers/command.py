"""The conventions of all commands: a user's error is one line and exit code 2; `--debug` adds the traceback."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from trainers.errors import UserError


class Parser(argparse.ArgumentParser):
    """Refuses wrong arguments in one line and with exit code 2.

    shown_as: names of commands to replace in --help, {"python -m tuning.run": "detector-tuning run"}; set by the console
        script, so that the usage and the examples name the command as the user typed it.
    """

    shown_as: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prog = self._as_typed(self.prog)

    def format_help(self) -> str:
        """The text of --help."""
        return self._as_typed(super().format_help())

    def _as_typed(self, text: str) -> str:
        for command, shown in self.shown_as.items():
            # a line break may stand for any space; tuning.report is not the beginning of tuning.reporting
            text = re.sub(re.escape(command).replace(r"\ ", r"\s+") + r"(?!\w|\.\w)", shown, text)
        return text

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        print(f"error: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def run(command: Callable[[], int], debug: bool, interrupted: str = "stopped") -> int:
    """Run `command` and return its exit code: 2 for UserError and OSError, 130 for Ctrl-C.

    debug: print tracebacks. interrupted: the message after Ctrl-C.
    """
    try:
        return command()
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
        return 2


def _in_one_line(error: UserError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    return str(error)
