"""`python -m tuning.active --data photos/ --strategy entropy`: how many labels a strategy would have saved."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.datasets.arguments import add_reading_flags
from trainers.errors import UserError
from trainers.hardware.machine import cpus_here, gpus_here
from trainers.keras_training import start_up_lines
from tuning.reporting.console import console_of
from tuning.selection.neighbours import FRAME_GAP

EXAMPLES = """\
examples:
  python -m tuning.active --data photos/ --strategy entropy --batch 50 --cycles 6
                                      with the preset of the fastest detector; against a random choice, 5 seeds
  python -m tuning.active --data bdd/ --strategy entropy --strategy diverse-entropy --batch 1000 --cycles 14 \\
      --candidates 5000 --trial bdd/7 --control random
                                      the recipe of a study's trial; each cycle picks among 5,000 other images

The training images are the pool: some are labelled at random, and each cycle a detector is trained on the labelled ones
and picks a batch of the others. The validation images measure it. The same command goes on where a killed one ended, and
adds strategies and --seeds. In <studies-dir>/<name>: report.html, curves.png, curves.csv, and each step's outcome.
Exit code: 0; 2 for wrong input, and then nothing is trained; 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.active",
        description="Simulates active learning on labelled data, and says how many labels a strategy saves.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("data").add_argument
    add("--data", metavar="PATH", help="labelled images: a folder or s3://... (default: the toy city)")
    add_reading_flags(add)
    add = line.add_argument_group("what to simulate").add_argument
    add("--strategy", action="append", default=[], metavar="NAME", dest="strategies",
        help="see python -m tuning.select; may be repeated (default: entropy)")  # fmt: skip
    add("--control", default="random", metavar="NAME", help="what it is compared with (default: random)")
    add("--batch", type=int, required=True, metavar="N", help="images that each cycle labels")
    add("--cycles", type=int, required=True, metavar="N", help="how often")
    add("--initial", type=int, metavar="N", help="images labelled at random at first (default: --batch)")
    add("--candidates", type=int, metavar="N",
        help="images among which a cycle picks, others in each (default: all without labels)")  # fmt: skip
    add("--seeds", type=int, default=5, metavar="N",
        help="repetitions, each with other initial images (default: 5)")  # fmt: skip
    add("--frame-gap", type=int, default=FRAME_GAP, metavar="N",
        help=f"frames of a video around a picked one that are passed over (default: {FRAME_GAP})")  # fmt: skip
    add("--metric", default="mAP50", metavar="NAME", help="of the curves (default: mAP50)")
    add = line.add_argument_group("training").add_argument
    add("--recipe", type=Path, metavar="FILE",
        help="recipe file (default: the laptop preset of the fastest detector)")  # fmt: skip
    add("--trial", metavar="STUDY/7", help="instead: the recipe of a study's trial")
    add("--max-steps", type=int, metavar="N", help="gradient steps of each training (default: the recipe's)")
    add("--search-every", type=int, default=0, metavar="K",
        help="search the recipe anew after each K cycles, on the images labelled by then (default: never)")  # fmt: skip
    add(
        "--search-trials",
        type=int,
        default=4,
        metavar="N",
        help="recipes that such a search trains (default: 4)",
    )
    add("--fine-tune", action="store_true", help="begin with the weights of the cycle before, not anew")
    add = line.add_argument_group("machine").add_argument
    add("--workers", type=int, metavar="N", help="trainings at a time (default: one for each CPU or GPU)")
    add(
        "--gpus-per-trial",
        type=float,
        metavar="N",
        help="or a fraction of one (default: one if there is one)",
    )
    add = line.add_argument_group("output").add_argument
    add("--name", metavar="NAME", help="of the simulation (default: active-DATA)")
    add("--studies-dir", type=Path, default=Path("studies"), metavar="DIR", help="default: ./studies")
    add(
        "--tracking-uri", metavar="URI", help="of an MLflow server (default: mlflow.db in the studies folder)"
    )
    add("--price-per-hour", type=float, metavar="N", help="price of a worker's hour, in any currency")
    add("--debug", action="store_true", help="print the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    start_up_lines.hide()
    return run(lambda: _main(chosen), chosen.debug, interrupted="stopped; run the same command to go on")


def _main(chosen: argparse.Namespace) -> int:
    _check(chosen)
    from tuning.active.simulating import Asked, simulate

    gpus = min(1.0, gpus_here()) if chosen.gpus_per_trial is None else chosen.gpus_per_trial
    workers = chosen.workers or (max(1, int(gpus_here() / gpus)) if gpus else cpus_here())
    asked = Asked(
        data=chosen.data,
        format=chosen.format,
        group_by=chosen.group_by,
        strategies=tuple(dict.fromkeys(chosen.strategies or ("entropy",))),
        control=chosen.control,
        batch=chosen.batch,
        cycles=chosen.cycles,
        initial=chosen.initial or chosen.batch,
        candidates=chosen.candidates,
        seeds=chosen.seeds,
        frame_gap=chosen.frame_gap,
        metric=chosen.metric,
        recipe=chosen.recipe,
        trial=chosen.trial,
        max_steps=chosen.max_steps,
        fine_tune=chosen.fine_tune,
        search_every=chosen.search_every,
        search_trials=chosen.search_trials,
        workers=workers,
        cpus=max(1, cpus_here() // workers),
        gpus=gpus,
        name=chosen.name,
        studies_dir=chosen.studies_dir,
        tracking_uri=chosen.tracking_uri,
        price_per_hour=chosen.price_per_hour,
        trainer=chosen.trainer,
    )
    simulate(asked, console_of(sys.stdout))
    return 0


def _check(chosen: argparse.Namespace) -> None:
    for name in ("batch", "cycles", "initial", "candidates", "seeds", "max_steps", "workers"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    for name in ("frame_gap", "gpus_per_trial", "price_per_hour"):
        value = getattr(chosen, name)
        if value is not None and not 0 <= value < float("inf"):
            raise UserError(f"--{name.replace('_', '-')} must be 0 or more, not {value:g}")
    if chosen.candidates is not None and chosen.candidates < chosen.batch:
        raise UserError(f"--candidates {chosen.candidates} is less than --batch {chosen.batch}")
    if chosen.search_every < 0:
        raise UserError(f"--search-every must be 0 or more, not {chosen.search_every}")
    if chosen.search_trials < 2:
        raise UserError(f"--search-trials must be at least 2, not {chosen.search_trials}")
    if chosen.recipe is not None and chosen.trial is not None:
        raise UserError("give either --recipe or --trial")
    name = chosen.name or ""
    if name in (".", "..", "data", "mlruns") or "/" in name or name != name.strip():
        raise UserError(f"--name '{name}' is not a valid name; give a plain one other than data and mlruns")


if __name__ == "__main__":
    sys.exit(main())
