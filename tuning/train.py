"""`python -m tuning.train recipe.yaml`: trains one recipe to its last step."""

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
from tuning.api.settings import RESERVED
from tuning.reporting.console import console_of
from tuning.stores.arguments import add_studies_dir

EXAMPLES = """\
examples:
  python -m tuning.train recipe.yaml                           on the generated toy city
  python -m tuning.train recipe.yaml --data photos/            on your own images
  python -m tuning.train --trial street/7                      trial 7 of the study street again, to its last step
  python -m tuning.train --trial street/7 --max-steps 20000 --all-data
                                                               longer, and on the validation images too
  python -m tuning.train --run 0a1b2c... --tracking-uri http://mlflow:5000
                                                               a trial that is in MLflow, without its study

A training is a study of one trial, in <studies-dir>/<study>; it is logged to MLflow and can be promoted.
Run the same command again to resume it. With --threads 1 on a CPU, the same recipe, data and seed give equal losses.
Exit code: 0; 1 if the training failed; 2 for wrong input; 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.train",
        description="Trains one recipe to its last step.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = line.add_argument_group("what to train (one of the first three)")
    add = group.add_mutually_exclusive_group(required=True).add_argument
    add(
        "recipe", nargs="?", type=Path, help="file: recipe.yaml, as in a trial's folder, or a pipeline.config"
    )
    add("--trial", metavar="STUDY/7", help="recipe and data of a study's trial")
    add("--run", metavar="ID", help="recipe and data of a trial's run in MLflow")
    group.add_argument("--max-steps", type=int, metavar="N", help="gradient steps (default: the recipe's)")

    add = line.add_argument_group("data").add_argument
    add(
        "--data",
        metavar="PATH",
        help="labelled images: a folder or s3://... (default: the trial's, or the toy city)",
    )
    add_reading_flags(add)
    add(
        "--all-data",
        action="store_true",
        help="train on the validation images too, and without the trial's --subset",
    )

    add = line.add_argument_group("machine").add_argument
    add("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    add(
        "--gpus",
        type=float,
        metavar="N",
        help="GPUs, which share each batch, a fraction of one's memory, or 0 (default: one if there is one)",
    )

    add = line.add_argument_group("study").add_argument
    add("--study", metavar="NAME", help="default: named after the recipe and the data")
    add_studies_dir(add)
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
    for name in ("max_steps", "threads"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if chosen.gpus is not None and chosen.gpus < 0:
        raise UserError(f"--gpus must be at least 0, not {chosen.gpus:g}")
    name = chosen.study or ""
    if name in (*RESERVED, ".", "..") or "/" in name or name != name.strip():
        raise UserError(f"--study '{name}' is not a valid name; give a plain name other than data and mlruns")
    start_up_lines.hide()

    from tuning.api import training
    from tuning.api.recipes import source as recipe_source
    from tuning.tracking.store import check_uri, default_uri

    check_uri(chosen.tracking_uri or "")
    if chosen.trial is not None:
        source = recipe_source.of_trial(chosen.trial, chosen.studies_dir)
    elif chosen.run is not None:
        source = recipe_source.of_run(chosen.run, chosen.tracking_uri or default_uri(chosen.studies_dir))
        if source.data is None and chosen.data is None:
            raise UserError(f"--run {chosen.run}: does not name the data that it was trained on; give --data")
    else:
        source = recipe_source.of_file(chosen.recipe)
    asked = training.Training(
        source=source,
        studies_dir=chosen.studies_dir,
        max_steps=chosen.max_steps,
        data=chosen.data,
        format=chosen.format,
        group_by=chosen.group_by,
        all_data=chosen.all_data,
        study=chosen.study,
        tracking_uri=chosen.tracking_uri,
        threads=chosen.threads or cpus_here(),
        gpus=min(1.0, gpus_here()) if chosen.gpus is None else chosen.gpus,
    )
    ended = training.run(asked, chosen.trainer, console_of(sys.stdout))
    return 130 if ended.stopped_by is not None else int(ended.all_failed)


if __name__ == "__main__":
    sys.exit(main())
