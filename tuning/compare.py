"""`python -m tuning.compare STUDY STUDY…`: studies side by side: the best of each, and what it took to reach a level."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(prog="python -m tuning.compare", description=__doc__)
    line.add_argument("studies", nargs="+", metavar="STUDY", help="its name, or its folder; two at least")
    line.add_argument("--studies-dir", type=Path, default=Path("studies"))
    line.add_argument("--format", choices=("markdown", "html", "json"), default="markdown")
    line.add_argument("--out", type=Path, help="file to write (default: it is printed)")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    if len(chosen.studies) < 2:
        raise UserError(f"{chosen.studies[0]} alone compares with nothing; give two studies at least")
    from tuning.reporting.comparison import compare
    from tuning.reporting.writing import write
    from tuning.study import reading

    studies = [reading.read(name, chosen.studies_dir) for name in chosen.studies]
    write(compare(studies), chosen.format, chosen.out)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    sys.exit(main())
