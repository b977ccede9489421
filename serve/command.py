"""What this package's commands share: one line for an error of the user's, exit code 2, a traceback only if asked."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from trainers.errors import UserError


class Parser(argparse.ArgumentParser):
    """Says `error: ...` in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def run(command: Callable[[], int], debug: bool) -> int:
    """The exit code of `command`."""
    try:
        return command()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except UserError as error:
        line = str(error)
    except OSError as error:
        line = f"{error.filename or 'the system'}: {error.strerror or error}"
    if debug:
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr)
    return 2
