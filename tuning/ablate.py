"""`python -m tuning.ablate STUDY`: which of the winner's choices matter: each put back to the default, and trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from trainers.command import Parser, run
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here, gpus_here
from trainers.keras_training import start_up_lines
from tuning.reporting.console import console_of

EXAMPLES = """\
examples:
  python -m tuning.ablate street                 every choice of the best trial, each trained to its last step
  python -m tuning.ablate street --budget 3      shorter: all trainings together take 3 full-length ones

Each training is a study of its own, STUDY-ablation-..., and is resumed by the same command.
Exit code: 0; 2 for wrong input; 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.ablate",
        description="Trains the best trial again, and with each of its choices put back to the default; compares them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("study", help="name or folder of a study")
    add("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="default: ./studies")
    add(
        "--budget",
        type=float,
        metavar="N",
        help="of all trainings, in full-length ones (default: each full-length)",
    )
    add("--dry-run", action="store_true", help="list the trainings and train nothing")
    add("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    add(
        "--tracking-uri", metavar="URI", help="of an MLflow server (default: mlflow.db in the studies folder)"
    )
    add("--debug", action="store_true", help="print the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug, interrupted="stopped; run the same command to resume")


def _main(chosen: argparse.Namespace) -> int:
    if chosen.budget is not None and not chosen.budget > 0:
        raise UserError(f"--budget must be above 0, not {chosen.budget:g}")
    if chosen.threads is not None and chosen.threads < 1:
        raise UserError(f"--threads must be at least 1, not {chosen.threads}")
    start_up_lines.hide()
    from tuning.api.ablation import ablating
    from tuning.study import reading

    console, study = console_of(sys.stdout), reading.read(chosen.study, chosen.studies_dir)
    if chosen.dry_run:
        for line in ablating.planned(study, chosen.budget):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return 0
    asked = {
        "threads": chosen.threads or cpus_here(),
        "gpus": min(1.0, gpus_here()),
        "tracking_uri": chosen.tracking_uri,
    }
    rows = ablating.run(study, chosen.budget, asked, chosen.trainer, console)
    shown = ablating.table(rows, study.objective.name)
    table = Table(*shown.columns)
    for cells in shown.rows:
        table.add_row(*cells)
    console.print(table)
    console.print(shown.note, highlight=False, soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
