"""`python -m tuning.replay STUDY`: simulates a past search under other settings: its cost, and what it would have found.

Runs the same sampler and scheduler on a simulated clock over the study's learning curves (or a JSON file of curves),
once for each seed. Each proposal is replaced by the nearest recorded trial. Without flags, the first replay is the
search itself: the same first recipes, seed and settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.reporting.console import console_of
from tuning.search import sampler, scheduler
from tuning.stores.arguments import add_studies_dir

EXAMPLES = """\
examples:
  python -m tuning.replay street                      the search again, 20 times with other seeds
  python -m tuning.replay street --scheduler full     without early stopping
  python -m tuning.replay street --sampler random --format json
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.replay",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("study", help="name or folder of a study, or a JSON file of learning curves")
    add_studies_dir(add)
    add("--space", metavar="NAME", help="the space of a file of curves")
    add("--trials", type=int, metavar="N", help="of each replay (default: as many as there are curves)")
    add(
        "--like",
        type=float,
        metavar="N",
        help="steps of each replay, in full-length trials (default: no limit)",
    )
    add("--sampler", metavar="NAME", help=f"{' or '.join(sampler.names())} (default: the study's own)")
    add("--scheduler", metavar="NAME", help=f"{', '.join(scheduler.names())} (default: the study's own)")
    add(
        "--reduction-factor",
        type=int,
        metavar="N",
        help="one trial in N passes a rung (default: the study's own)",
    )
    add("--brackets", type=int, metavar="N", help="Hyperband brackets (default: the study's own)")
    add("--workers", type=int, default=1, metavar="N", help="simulated trials at once (default: 1)")
    add("--random", action="store_const", const="random", dest="sampler", help="the same as --sampler random")
    add(
        "--seeds",
        type=int,
        default=20,
        metavar="N",
        help="replays, from the study's own seed on (default: 20)",
    )
    add("--format", choices=("text", "json"), default="text", help="format of the result (default: text)")
    add("--debug", action="store_true", help="print the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    from tuning.api import replaying

    found = replaying.recorded(chosen.study, chosen.studies_dir, chosen.space)
    for flag in ("trials", "workers", "brackets", "seeds"):
        value = getattr(chosen, flag)
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1, not {value}")
    if chosen.reduction_factor is not None and chosen.reduction_factor < 2:
        raise UserError(f"--reduction-factor must be at least 2, not {chosen.reduction_factor}")
    names = ("scheduler", "reduction_factor", "brackets", "trials", "workers", "sampler", "like")
    given = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}
    rule = replace(found.rule, **given)
    outcomes = [
        replaying.replay(
            found.curves, found.space, found.conditions, rule, seed, found.objective, found.costs, found.first
        )[0]
        for seed in range(found.seed, found.seed + chosen.seeds)
    ]
    console = console_of(sys.stdout)
    if chosen.format == "json":
        fields = {
            "curves": len(found.curves),
            "rule": asdict(rule),
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        console.print_json(json.dumps(fields))
        return 0
    for line in replaying.lines(len(found.curves), rule, outcomes):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
