"""`python -m tuning.report STUDY`: writes a study's report: one page with all its evidence."""

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
  python -m tuning.report street                          write studies/street/report.html
  python -m tuning.report street --format markdown        print it, for a pull request
  python -m tuning.report street --suspects               likely label errors first, with their file names
  python -m tuning.report street --format json | jq '.sections.ranking.trials[0]'

The search may still be running.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.report",
        description="Writes the report of a study: ranking, evidence, costs and advice on one page.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("what to report").add_argument
    add("study", help="name or folder of the study")
    add_studies_dir(add)
    add("--data", metavar="PATH", help="where the study's data are now, if they have moved (for pictures)")
    add("--suspects", action="store_true", help="begin with likely label errors, by file name")
    add("--price-per-hour", type=float, metavar="N", help="price of a worker's hour, in any currency")

    add = line.add_argument_group("output").add_argument
    add(
        "--format",
        choices=("html", "markdown", "json"),
        default="html",
        help="format of the report (default: html)",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="file to write (default: report.html in the study; others are printed)",
    )
    add("--debug", action="store_true", help="print the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    if chosen.price_per_hour is not None and not 0 <= chosen.price_per_hour < float("inf"):
        raise UserError(f"--price-per-hour must be 0 or more, not {chosen.price_per_hour:g}")
    from tuning.reporting.report import report
    from tuning.reporting.writing import write
    from tuning.study import reading  # imports take seconds, for which --help should not wait

    study = reading.read(chosen.study, chosen.studies_dir)
    page = study.folder / "report.html" if chosen.format == "html" else None
    write(
        report(study, chosen.data, chosen.price_per_hour, chosen.suspects), chosen.format, chosen.out or page
    )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no traceback after `| head`
    sys.exit(main())
