"""`python -m tuning.promote STUDY`: makes a study's best detector the champion of MLflow's registry, or goes back."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.command import console_of

EXAMPLES = """\
examples:
  python -m tuning.promote street               the best completed trial becomes models:/street@champion
  python -m tuning.promote street --trial 7     that one
  python -m tuning.promote street --rollback    the champion before is champion again
  python -m serve.run --model models:/street@champion

The trial is exported, and the export, read again from the disk, is compared with the trained model on validation images:
boxes, scores and mAP must agree within the tolerances that are printed, or nothing is registered. Exit code: 0, 2 for an
error.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.promote",
        description="Makes a study's best detector the champion of MLflow's model registry, or goes back.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("study", help="its name, or its folder")
    add("--trial", type=int, metavar="N", help="this trial (default: the best completed one)")
    add("--rollback", action="store_true", help="give the alias back to the version that had it before")
    add("--model", metavar="NAME", help="of the registered model (default: the study's name)")
    add(
        "--studies-dir",
        type=Path,
        default=Path("studies"),
        help="where studies are kept (default: ./studies)",
    )
    add("--tracking-uri", help="of the MLflow server (default: the one that the study was run with)")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    if chosen.rollback and chosen.trial is not None:
        raise UserError("--rollback goes to the champion before; leave out --trial")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from tuning.api import promotion
    from tuning.study import reading
    from tuning.tracking.registry import ALIAS, Registry
    from tuning.tracking.store import opened

    console = console_of(sys.stdout)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    study = reading.read(chosen.study, chosen.studies_dir)
    uri = promotion.store_of(study, chosen.tracking_uri)
    model = chosen.model or study.manifest.study
    if chosen.rollback:
        with opened(uri) as client:
            registry = Registry(client, uri, model)
            before, now = registry.roll_back()
        say(f"models:/{registry.name}@{ALIAS}: version {before} -> {now}")
        return 0
    done = promotion.promote(study, chosen.trial, uri, model, chosen.trainer, say)
    say(f"models:/{done.model}@{ALIAS}: version {done.before or 'none'} -> {done.version}")
    say(f"serve it: {shlex.join(promotion.serving_command(done, study.folder.parent, uri))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
