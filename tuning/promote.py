"""`python -m tuning.promote STUDY`: makes a study's best trial the champion in MLflow's model registry."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from trainers.command import Parser, run
from trainers.errors import UserError
from trainers.keras_training import start_up_lines
from tuning.reporting.console import console_of
from tuning.stores.arguments import add_studies_dir

EXAMPLES = """\
examples:
  python -m tuning.promote street               the best completed trial becomes models:/street@champion
  python -m tuning.promote street --trial 7     trial 7 does
  python -m tuning.promote street --choose fastest-within 0.01
                                                the fastest network of those whose objective is at most .01 worse
  python -m tuning.promote street --threshold-for 'precision>=.9'
                                                it is served with the score threshold that gives this precision
  python -m tuning.promote street --rollback    the previous champion becomes champion again
  python -m serve.run --model models:/street@champion

The trial is exported. The export is loaded again and compared with the trained model on validation images; it is
registered only if they agree within the tolerances that are printed.
Exit code: 0; 2 for an error.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.promote",
        description="Exports a study's best trial and makes it the champion in MLflow's model registry.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("what to promote").add_argument
    add("study", help="name or folder of the study")
    add("--trial", type=int, metavar="N", help="number of the trial (default: the best completed one)")
    add(
        "--choose",
        nargs=2,
        metavar=("RULE", "X"),
        help="fastest-within X, or smallest-within X: of the trials whose objective is at most X worse than the best",
    )
    add(
        "--threshold-for",
        metavar="CONDITION",
        help="score threshold of serving, by the validation images: f1, 'precision>=.9' or 'recall>=.8' (default: f1)",
    )
    add("--rollback", action="store_true", help="make the previous champion champion again")
    add_studies_dir(add)

    add = line.add_argument_group("registry").add_argument
    add("--model", metavar="NAME", help="registered model (default: named after the study)")
    add("--tracking-uri", metavar="URI", help="MLflow server (default: the one that the study was run with)")
    add("--debug", action="store_true", help="print the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    for flag, given in (
        ("--trial", chosen.trial), ("--threshold-for", chosen.threshold_for), ("--choose", chosen.choose),
    ):  # fmt: skip
        if chosen.rollback and given is not None:
            raise UserError(f"--rollback takes the previous champion; leave out {flag}")
    if chosen.choose and chosen.trial is not None:
        raise UserError("--choose chooses the trial; leave out --trial")
    start_up_lines.hide()

    from tuning.api import promotion
    from tuning.api.deployment import choosing
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
    number = chosen.trial
    if chosen.choose:
        cost, within = choosing.parse(*chosen.choose)
        number = choosing.cheapest(study, cost, within, chosen.trainer, say).number
    done = promotion.promote(study, number, uri, model, chosen.trainer, say, chosen.threshold_for)
    say(f"models:/{done.model}@{ALIAS}: version {done.before or 'none'} -> {done.version}")
    say(f"serve it: {shlex.join(promotion.serving_command(done, study.folder.parent, uri))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
