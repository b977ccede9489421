"""`python -m tuning.run --space retinanet`: searches for the best recipe that a budget can buy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from search_spaces.conditions import PRECISIONS, PRESETS
from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.command import DETECTOR_TRAINER, console_of
from tuning.search.halving import EARLY_IMAGES, Mode

EXAMPLES = """\
examples:
  python -m tuning.run --space retinanet                     search on the generated toy city, in minutes on a CPU
  python -m tuning.run --space mobilenet --data photos/      on one's own images
  python -m tuning.run --space all --data photos/ --subset 10%  the same, quicker, on a tenth of them
  python -m tuning.run --space all --trials 24 --workers 2   let the search choose among three detectors
  python -m tuning.run --space retinanet --preset zoo --gpus-per-trial 1 --data photos/
                                                             640 px, from COCO weights, on GPUs
  python -m tuning.run --space retinanet --dry-run           what it would take; trains nothing

The same command again goes on where an interrupted search stopped; a larger --trials extends a finished one, a larger
--max-steps trains its best trials on.
Results: <studies-dir>/<study>/summary.json, and MLflow. Exit code: 0, 1 if every trial failed, 2 for an error of the
user's, 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.run",
        description="Searches for the best object detector that a budget can buy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("--space", required=True, help="what may vary: retinanet, mobilenet, efficientdet or all; "
        "`python -m search_spaces` prints them")  # fmt: skip
    add("--data", help="labelled images: a folder or s3://...; without it, the generated toy city")
    add("--subset", type=share_of, default=1.0, metavar="10%", help="train on a share of the training images: "
        "the same ones each time, of every class its share; all validation images stay (default: 100%%)")  # fmt: skip
    add("--trials", type=int, help="trials of the study in all (default: the laptop preset's 6, zoo's 32; "
        "any number where another limit is given)")  # fmt: skip
    add(
        "--time", type=duration_of, metavar="2h", help="limit on the study's wall time, like 45m, 2h or 1h30m"
    )
    add(
        "--like",
        type=float,
        metavar="N",
        help="limit on its gradient steps: as many as N full trainings have",
    )
    add("--gpu-hours", type=float, help="limit on the GPU hours of all its workers")
    add("--cost", type=float, help="limit on what those cost, at --price-per-gpu-hour")
    add("--price-per-gpu-hour", type=float, help="in the currency of --cost")
    add("--study", help="its name (default: after the space and the data)")
    add(
        "--studies-dir",
        type=Path,
        default=Path("studies"),
        help="where studies are kept (default: ./studies)",
    )
    add("--preset", choices=PRESETS, default="laptop", help="laptop: small images, a few hundred steps, from scratch; "
        "zoo: 640 px, published steps, COCO weights (default: laptop)")  # fmt: skip
    add(
        "--max-steps",
        type=int,
        help="gradient steps of a trial that is not stopped early (default: the space's)",
    )
    add("--image-size", type=int, help="pixels (default: the preset's)")
    add("--batch-size", type=int, help="images a step (default: the preset's)")
    add(
        "--weights",
        default="auto",
        help="where trials start: auto (the preset's), none, or the path of a checkpoint",
    )
    add("--precision", choices=PRECISIONS, default="float32", help="of the network's arithmetic; bfloat16 is for GPUs "
        "from Ampere on (default: float32)")  # fmt: skip
    add("--xla", action="store_true", help="compile the gradient step; on a CPU core that made it 10 times slower: "
        "measure it on yours first, with tests/benchmarks/step.py --xla")  # fmt: skip
    add("--workers", type=int, help="trials that train at once; with one, the same seed is the same search (default: "
        "one a GPU; without a GPU up to 4, where CPUs and memory allow and that is faster)")  # fmt: skip
    add("--cpus-per-trial", type=float, help="CPUs of each worker (default: an even share)")
    add("--gpus-per-trial", type=float, help="GPUs of each worker, a fraction for several on a device "
        "(default: an even share, up to 1)")  # fmt: skip
    add("--seed", type=int, default=0, help="of the search and of every trial (default: 0)")
    add("--scheduler", choices=get_args(Mode), default="promote", help="promote: a trial waits at a rung, and the "
        "best go on as it fills; stop: it is judged when it reaches the rung, with twice the training "
        "(default: promote)")  # fmt: skip
    add(
        "--reduction-factor",
        type=int,
        default=3,
        help="one trial in so many goes on past a rung (default: 3)",
    )
    add("--brackets", type=int, default=1, help="kinds of trials, of which each skips one more of the first rungs "
        "(default: 1)")  # fmt: skip
    add(
        "--early-images",
        type=int,
        default=EARLY_IMAGES,
        metavar="N",
        help=f"measure all rungs but the last on so many validation images (default: {EARLY_IMAGES})",
    )
    add("--tracking-uri", help="of an MLflow server (default: mlflow.db in the studies' folder)")
    add("--address", help="of a running Ray cluster whose machines share --studies-dir, or auto "
        "(default: Ray on this machine)")  # fmt: skip
    add(
        "--warm-start",
        metavar="STUDY|mlflow:EXPERIMENT",
        help="try the best recipes of an earlier study first",
    )
    add("--accept-space-change", action="store_true", help="go on with a study whose space has changed; what still fits "
        "is kept")  # fmt: skip
    add("--keep-checkpoints", type=int, default=10, help="of so many best trials, besides those that may go on "
        "(default: 10)")  # fmt: skip
    add("--dry-run", action="store_true", help="print the plan and train nothing")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("--trainer", default=DETECTOR_TRAINER, help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = vars(parser().parse_args(words))
    dry_run, debug, trainer = chosen.pop("dry_run"), chosen.pop("debug"), chosen.pop("trainer")

    def search() -> int:
        settings = Settings(**chosen)
        from tuning.api import searching

        console = console_of(sys.stdout)
        if dry_run:
            return searching.dry_run(settings, console)
        return searching.run(settings, trainer, words, console)

    return run(search, debug, interrupted="stopped at once; the same command goes on")


def duration_of(text: str) -> float:
    """The seconds of `--time`."""
    from tuning.search.budget import parse_time

    try:
        return parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time; give it like 45m, 2h or 1h30m") from None


def share_of(text: str) -> float:
    """The fraction of `--subset`."""
    from trainers.datasets.splits.subsetting import parse_share

    try:
        return parse_share(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
