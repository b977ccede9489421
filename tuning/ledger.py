"""`python -m tuning.ledger STUDY`: which trial was stopped where and why, what it saved, and what it may have cost.

`--audit N` trains a random sample of the stopped trials to their end, and so finds out how often, and by how much, one
of them would have won.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trainers.command import Parser, run
from tuning.command import console_of
from tuning.reporting.ledger import Ledger, ledger, lines
from tuning.study import reading


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser(prog="python -m tuning.ledger", description=__doc__)
    parser.add_argument("study", help="its name, or its folder")
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"))
    parser.add_argument(
        "--audit", type=int, metavar="N", help="train so many of the stopped trials to their end"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the audit's sample")
    parser.add_argument("--data", help="of the study, if it is no longer where it was")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--trainer", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    console = console_of(sys.stdout)
    study = reading.read(chosen.study, chosen.studies_dir)
    if chosen.audit is not None:
        from tuning.api import auditing

        auditing.audit(study, chosen.audit, chosen.seed, chosen.data, chosen.trainer, console)
        study = reading.read(chosen.study, chosen.studies_dir)
    show(
        ledger(study.records, study.manifest.max_steps, study.audits, study.objective), console, chosen.format
    )
    return 0


def show(found: Ledger, console: Console, form: str) -> None:
    """Print it, as text or JSON."""
    if form == "json":
        console.print_json(json.dumps(found.to_dict()))
        return
    for line in lines(found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
