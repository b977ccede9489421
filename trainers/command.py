"""What all commands share: one line for an error of the user's, exit code 2, a traceback only if it is asked for."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from trainers.errors import UserError


class Parser(argparse.ArgumentParser):
    """Refuses wrong arguments in one line and with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        print(f"error: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def run(command: Callable[[], int], debug: bool, interrupted: str = "stopped") -> int:
    """The exit code of `command`. interrupted: what to say of Ctrl-C."""
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
