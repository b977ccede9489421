"""`python -m tuning.stop`: ends a search that runs on a cluster, and keeps what is finished."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.jobs.arguments import add_jobs_address

EXAMPLES = """\
examples:
  python -m tuning.stop street-1126-120501

As Ctrl-C would: workers save, running trials are interrupted. The same tuning.run command goes on with it.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.stop",
        description="Ends a search that was submitted to a Ray cluster; finished work is kept.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("search", help="its name, as tuning.status lists it")
    add_jobs_address(line.add_argument)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    from tuning.jobs.cluster_jobs import ClusterJobs

    jobs = ClusterJobs(chosen.address)
    job = jobs.job(chosen.search)
    if not job.running:
        raise UserError(f"{job.name}: has ended already ({job.state.lower()})")
    job = jobs.stop(job.name)
    if job.running:
        raise UserError(f"{job.name}: has not ended yet; ask tuning.status")
    print(f"{job.name} {job.state.lower()}; finished work is kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
