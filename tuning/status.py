"""`python -m tuning.status`: lists the searches that were submitted to a Ray cluster."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from trainers.command import Parser, run
from tuning.jobs.arguments import add_jobs_address
from tuning.reporting.console import console_of

EXAMPLES = """\
examples:
  python -m tuning.status                          the searches of the cluster, the newest first
  python -m tuning.status street-1126-120501       one, and what it has printed last
"""
LINES = 20


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.status",
        description="Lists the searches that were submitted to a Ray cluster, and how they stand.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("search", nargs="?", help="its name, as tuning.run --submit printed it")
    add_jobs_address(line.add_argument)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    from tuning.jobs.cluster_jobs import ClusterJobs
    from tuning.search.limits.budget import duration

    console = console_of(sys.stdout)
    jobs = ClusterJobs(chosen.address)
    found = jobs.jobs() if chosen.search is None else [jobs.job(chosen.search)]
    if not found:
        console.print("no search was submitted to this cluster", highlight=False)
    for job in found:
        took = duration((job.ended or time.time()) - job.started) if job.started else ""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else ""
        study = f"  study {job.about['study']}" if job.about.get("study") else ""
        console.print(
            f"{job.name:<36} {job.state.lower():<10} {when}  {took:<10}{study}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if chosen.search is not None:
        for each in jobs.log(chosen.search).splitlines()[-LINES:]:
            console.print(f"  {each}", highlight=False, soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
