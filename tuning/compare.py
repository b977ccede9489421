"""`python -m tuning.compare STUDY STUDY...`: compares studies: the best trial of each, and the cost to reach a level."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.stores.arguments import add_studies_dir

EXAMPLES = """\
examples:
  python -m tuning.compare street street-long                       print the comparison
  python -m tuning.compare street street-long --format html --out comparison.html
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.compare",
        description="Compares studies: the best trial of each, and what it cost to reach a level of the objective.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("what to compare").add_argument
    add("studies", nargs="+", metavar="STUDY", help="name or folder of a study; at least two")
    add_studies_dir(add)

    add = line.add_argument_group("output").add_argument
    add(
        "--format",
        choices=("markdown", "html", "json"),
        default="markdown",
        help="format of the comparison (default: markdown)",
    )
    add("--out", type=Path, metavar="FILE", help="file to write (default: print it)")
    add("--debug", action="store_true", help="print the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    if len(chosen.studies) < 2:
        raise UserError(f"{chosen.studies[0]}: is only one study; give at least two to compare")
    from tuning.reporting.comparison import compare
    from tuning.reporting.writing import write
    from tuning.study import reading

    studies = [reading.read(name, chosen.studies_dir) for name in chosen.studies]
    write(compare(studies), chosen.format, chosen.out)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no traceback after `| head`
    sys.exit(main())
