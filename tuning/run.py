"""`python -m tuning.run --space NAME`: searches for the best recipe that a budget can buy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import search_spaces
from search_spaces.conditions import PRECISIONS, PRESETS
from trainers.command import Parser, run
from trainers.datasets.arguments import add_reading_flags
from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.execution.saving import SAVE_SECONDS
from tuning.reporting.console import console_of
from tuning.search import sampler, scheduler
from tuning.search.limits.arguments import add_budget, duration_of
from tuning.stores.arguments import add_studies_dir
from tuning.study.manifest import EARLY_IMAGES

ONE, OTHER = search_spaces.DETECTORS[:2]
EXAMPLES = f"""\
examples:
  python -m tuning.run --space {ONE}                       on the generated toy city, in minutes on a CPU
  python -m tuning.run --space {OTHER} --data photos/        on your own images
  python -m tuning.run --space all --data photos/ --subset 10%  faster, on a tenth of them
  python -m tuning.run --space all --data photos/ --time 2h     whatever two hours can buy
  python -m tuning.run --space {OTHER} --data photos/ --objective 0.7*mAP+0.3*mAP_small
  python -m tuning.run --space {ONE} --data photos/ --preset zoo --gpus-per-trial 1
                                                               640 px, from COCO weights, on GPUs
  python -m tuning.run --space all --limit 'latency_ms<=20'    the best detector that needs at most 20 ms an image here
  python -m tuning.run --space all --and latency_ms            the front of accuracy and latency
  python -m tuning.run --space {OTHER} --data photos/ --recipe pipeline.config
                                                               somebody's training first, then others
  python -m tuning.run --space all --trials 24 --confirm 4     the winner by the mean over several seeds
  python -m tuning.run --space {OTHER} --data photos/ --trials 14 --folds 3
                                                               by the mean over three splits, where images are few
  python -m tuning.run --space {ONE} --dry-run             print the plan, train nothing
  python -m tuning.run --space all --submit --address http://head:8265 --studies-dir s3://bucket/studies
                                                               on a cluster, its driver too; then tuning.attach

Run the same command again to resume an interrupted search. A larger --trials extends a finished one; a larger
--max-steps trains its best trials further.

Results: <studies-dir>/<study>/summary.json, and MLflow.
Exit code: 0; 1 if every trial failed; 2 for wrong input; 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.run",
        description="Searches for the best detector, or segmentation model, that a budget can buy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    add = line.add_argument_group("what to search").add_argument
    spaces = ", ".join(search_spaces.names())
    add("--space", required=True, metavar="NAME", help=f"{spaces}; `python -m search_spaces` prints them")
    add("--with", action="append", default=[], dest="with_", metavar="NAME",
        help=f"let another space join --space all: {', '.join(search_spaces.OPTIONAL)}; may be repeated")  # fmt: skip
    add(
        "--objective",
        metavar="METRIC",
        help="metric, or weighted sum: mAP50, AP/car, 0.7*mAP+0.3*AR100 (default: that of the task)",
    )
    add(
        "--preset",
        choices=PRESETS,
        default="laptop",
        help="laptop: small images, minutes a trial; zoo: 640 px, as published",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="CHOICE=A,B",
        help="leave only these values of a choice of the space, as in optimizer=adam,momentum; may be given again",
    )
    add(
        "--and",
        action="append",
        default=[],
        dest="also",
        metavar="COST",
        help="a further objective: latency_ms or megabytes; the search keeps the trials that no other beats in all",
    )
    add(
        "--limit",
        action="append",
        default=[],
        metavar="COST<=N",
        help="search only networks that keep to it: latency_ms<=20, latency_ms<=20@tensorflow, "
        "latency_ms<=20@measured.csv, megabytes<=12; measured before anything is trained; may be given again",
    )
    add("--recipe", type=Path, metavar="FILE",
        help="first trial, adapted to the space: a recipe.yaml, or a pipeline.config of the API")  # fmt: skip
    add("--sampler", default="tpe", metavar="NAME", help=f"{' or '.join(sampler.names())} (default: tpe)")
    add("--seed", type=int, default=0, help="of the search and of every trial (default: 0)")

    add = line.add_argument_group("data").add_argument
    add(
        "--data",
        metavar="PATH",
        help="labelled images: a folder, file or s3://... (default: the generated toy city)",
    )
    add_reading_flags(add)
    add("--subset", type=share_of, default=1.0, metavar="10%", help="train on a share of the training images")

    add = line.add_argument_group("budget").add_argument
    add_budget(add)
    add("--dry-run", action="store_true", help="print the plan and train nothing")

    add = line.add_argument_group("training").add_argument
    add("--max-steps", type=int, metavar="N", help="gradient steps of a full trial (default: the space's)")
    add("--image-size", type=int, metavar="PX", help="side of the square input (default: the preset's)")
    add("--batch-size", type=int, metavar="N", help="images per step (default: the preset's)")
    add(
        "--weights",
        default="auto",
        help="where trials start: none, zoo, a checkpoint's path, or auto: zoo, none on the toy city (default: auto)",
    )
    add("--precision", choices=PRECISIONS, default="float32", help="bfloat16 is for GPUs from Ampere on")
    add(
        "--xla",
        action="store_true",
        help="compile the gradient step; 10 times slower on a CPU, measure it on a GPU",
    )

    add = line.add_argument_group("early stopping").add_argument
    add(
        "--scheduler",
        default="promote",
        metavar="NAME",
        help=f"{', '.join(scheduler.names())} (default: promote)",
    )
    add(
        "--reduction-factor",
        type=int,
        default=3,
        metavar="N",
        help="one trial in N passes a rung (default: 3)",
    )
    add(
        "--brackets",
        type=int,
        default=1,
        metavar="N",
        help="Hyperband brackets: bracket b skips the first b rungs",
    )
    add("--early-images", type=int, default=EARLY_IMAGES, metavar="N",
        help=f"validation images at rungs before the last (default: {EARLY_IMAGES})")  # fmt: skip

    add = line.add_argument_group("machines").add_argument
    add(
        "--workers",
        type=workers_of,
        metavar="N|max",
        help="trials at once (default: one per GPU; on CPUs up to 4 where faster); max: all that a cluster has room for",
    )
    add("--cpus-per-trial", type=float, metavar="N", help="CPUs of each worker (default: an even share)")
    add(
        "--gpus-per-trial",
        type=float,
        metavar="N",
        help="GPUs of each worker, which share its batches, or a fraction of one (default: an even share)",
    )
    add("--address", help="of a running Ray cluster, or auto (default: a local Ray)")
    add(
        "--autoscale",
        action="store_true",
        help="the cluster starts machines for workers; give --workers, --cpus-per-trial and --gpus-per-trial",
    )
    add(
        "--submit",
        action="store_true",
        help="hand the search to the cluster whose job server is at --address (http://head:8265), and return",
    )

    add = line.add_argument_group("study").add_argument
    add("--study", metavar="NAME", help="default: named after the space and the data")
    add_studies_dir(add)
    add(
        "--storage",
        default="",
        metavar="URL",
        help="where Optuna keeps the trials: postgresql://user@host/database (default: a file in the study's folder)",
    )
    add(
        "--tracking-uri", metavar="URI", help="of an MLflow server (default: mlflow.db in the studies folder)"
    )
    add("--warm-start", metavar="STUDY|mlflow:NAME", help="try the best recipes of an earlier study first")
    add("--accept-space-change", action="store_true", help="resume a study although its space has changed")
    add(
        "--keep-checkpoints",
        type=int,
        default=10,
        metavar="N",
        help="of the N best ended trials (default: 10)",
    )
    add(
        "--save-every",
        type=duration_of,
        default=SAVE_SECONDS,
        metavar="5m",
        help="time between a trial's checkpoints; there is one at each rung too (default: 5m)",
    )
    add("--debug", action="store_true", help="print the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = vars(parser().parse_args(words))
    dry_run, debug, trainer = chosen.pop("dry_run"), chosen.pop("debug"), chosen.pop("trainer")
    submit = chosen.pop("submit")

    def search() -> int:
        chosen["space"] = search_spaces.joined(chosen["space"], chosen.pop("with_"))
        settings = Settings(**chosen | {name: tuple(chosen[name]) for name in ("only", "limit", "also")})
        if submit:
            return _submit(words, settings)
        from tuning.api import searching
        from tuning.api.forecast import dry_run as plan
        from tuning.api.forecast import machines

        console = console_of(sys.stdout)
        with machines.planned(settings, partial(console.print, highlight=False, soft_wrap=True)) as there:
            if dry_run:
                plan.dry_run(there, console)
                return 0
            ended = searching.run(there, console, words, trainer)
        if ended.stopped_by is not None:
            console.print(f"stopped by {ended.stopped_by}; finished work is kept", highlight=False)
            return 130
        if ended.limit is not None:
            console.print(f"reached the {ended.limit} limit; raise it to continue", highlight=False)
        return 1 if ended.all_failed else 0

    return run(search, debug, interrupted="stopped; run the same command to resume")


def _submit(words: Sequence[str], settings: Settings) -> int:
    from tuning.jobs.submission import submit

    jobs, job = submit(words, settings)
    print(f"submitted {job.name} to {jobs.address}")
    for command in ("status", "attach", "stop"):
        print(f"  python -m tuning.{command} {job.name} --address {jobs.address}")
    return 0


def workers_of(text: str) -> int | str:
    """The number of `--workers`, or "max"."""
    if text == "max":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number nor max") from None


def share_of(text: str) -> float:
    """The fraction of `--subset`."""
    from trainers.datasets.splits.subsetting import parse_share

    try:
        return parse_share(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
