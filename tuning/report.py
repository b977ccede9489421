"""`python -m tuning.report STUDY`: a study's evidence as one page; also while its search is still running."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.errors import UserError

EXAMPLES = """\
examples:
  python -m tuning.report street                          writes studies/street/report.html
  python -m tuning.report street --format markdown        prints it, for a pull request
  python -m tuning.report street --format json | jq '.sections.ranking.trials[0]'
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.report",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("study", help="its name, or its folder")
    line.add_argument("--studies-dir", type=Path, default=Path("studies"))
    line.add_argument("--format", choices=("html", "markdown", "json"), default="html")
    line.add_argument(
        "--out",
        type=Path,
        help="file to write (default: report.html in the study's folder; others are printed)",
    )
    line.add_argument("--data", help="of the study, if it is no longer where it was; for the pictures")
    line.add_argument("--price-per-hour", type=float, help="of one worker, in any currency")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
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
    from tuning.study import reading  # with what else takes seconds to load, which --help does without

    study = reading.read(chosen.study, chosen.studies_dir)
    page = study.folder / "report.html" if chosen.format == "html" else None
    write(report(study, chosen.data, chosen.price_per_hour), chosen.format, chosen.out or page)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    sys.exit(main())
