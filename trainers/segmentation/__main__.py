"""`python -m trainers.segmentation check|describe SRC`: the commands for folders of images and masks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.datasets.opening import DEFAULT_CACHE
from trainers.segmentation.data.checks import check
from trainers.segmentation.data.description import describe, lines
from trainers.segmentation.task import SEGMENTATION

_EXAMPLES = """\
examples:
  python -m trainers.segmentation check follow_me/       list every problem, with its file; exit code 2 if unusable
  python -m trainers.segmentation describe follow_me/    count images and pixels by class and part
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    line = Parser(
        prog="python -m trainers.segmentation",
        description="Check and describe images with masks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("command", choices=("check", "describe"), help="what to do")
    line.add_argument("source", metavar="SRC", help="folder, or s3://bucket/prefix")
    line.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        default=DEFAULT_CACHE,
        help="converted images (default: %(default)s)",
    )
    line.add_argument("--debug", action="store_true", help="show a traceback on errors")
    options = line.parse_args(arguments)
    return run(lambda: _main(options), options.debug)


def _main(options: argparse.Namespace) -> int:
    if options.command == "check":
        report = check(options.source, on_problem=print)
        problems = sum(report.counts.values())
        print(
            f"{problems} problem{'s' * (problems != 1)}; {report.affected} of {report.images} images are left out"
        )
        for note in report.notes:
            print(f"note: {note}")
        report.raise_if_unusable()
    else:
        dataset = SEGMENTATION.open_data(options.source, options.cache)
        print("\n".join(lines(describe(dataset), dataset)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
