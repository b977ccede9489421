"""`python -m tuning.ledger STUDY`: lists the trials that were stopped early: where, why, what that saved or cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from trainers.command import Parser, run
from tuning.reporting.console import console_of
from tuning.reporting.ledger import Ledger, ledger, lines
from tuning.stores.arguments import add_studies_dir
from tuning.study import reading

EXAMPLES = """\
examples:
  python -m tuning.ledger street                   which trial was stopped where, why, and what that saved
  python -m tuning.ledger street --audit 3         train 3 stopped trials to their end first
  python -m tuning.ledger street --format json

An audit shows how often, and by how much, a stopped trial would have won.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.ledger",
        description="Lists the trials that a search stopped early: where, why, what that saved, what it may have cost.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("what to list").add_argument
    add("study", help="name or folder of the study")
    add_studies_dir(add)
    add("--format", choices=("text", "json"), default="text", help="format of the list (default: text)")
    add("--debug", action="store_true", help="print the traceback of an error")

    add = line.add_argument_group("audit").add_argument
    add("--audit", type=int, metavar="N", help="train N random stopped trials to their end first")
    add("--seed", type=int, default=0, metavar="N", help="seed of the random choice (default: 0)")
    add("--data", metavar="PATH", help="where the study's data are now, if they have moved")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
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
    """Print the ledger. form: "text" or "json"."""
    if form == "json":
        console.print_json(json.dumps(found.to_dict()))
        return
    for line in lines(found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
