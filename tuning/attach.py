"""`python -m tuning.attach`: shows a search that runs on a cluster, as its own terminal would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from trainers.command import Parser, run
from tuning.jobs.arguments import add_jobs_address
from tuning.reporting.console import console_of

EXAMPLES = """\
examples:
  python -m tuning.attach                          the newest search of the cluster
  python -m tuning.attach street-1126-120501
  python -m tuning.attach street-1126-120501 | tee street.log

On a terminal it shows the trials in a table, which takes access to the study's place (S3, PostgreSQL); otherwise, or
with --lines, the lines that the driver prints. Ctrl-C leaves the search running.
Exit code: that of the search, once it has ended; 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.attach",
        description="Shows a search that was submitted to a Ray cluster until it ends.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("search", nargs="?", help="its name (default: the newest)")
    line.add_argument("--lines", action="store_true", help="print the driver's lines, no table")
    add_jobs_address(line.add_argument)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug, interrupted="the search goes on; tuning.stop ends it")


def _main(chosen: argparse.Namespace) -> int:
    from tuning.jobs.cluster_jobs import ClusterJobs
    from tuning.jobs.watching import watch

    console = console_of(sys.stdout)
    jobs = ClusterJobs(chosen.address)
    name = jobs.job(chosen.search).name
    if console.is_terminal and not chosen.lines:
        job = watch(jobs, name, console)
    else:
        jobs.follow(name, lambda text: print(text, end="", flush=True))
        job = jobs.job(name)
    if job.state != "SUCCEEDED":
        console.print(
            f"{name} {job.state.lower()}: {job.message}", highlight=False, soft_wrap=True, markup=False
        )
    if job.exit_code is not None:
        return job.exit_code
    return 0 if job.state == "SUCCEEDED" else 130 if job.state == "STOPPED" else 1


if __name__ == "__main__":
    sys.exit(main())
