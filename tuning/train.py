"""`python -m tuning.train recipe.yaml`: trains one recipe to its last step, as a search would have logged it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.errors import UserError
from tuning.api.settings import RESERVED, cpus_here, gpus_here
from tuning.command import console_of

EXAMPLES = """\
examples:
  python -m tuning.train recipe.yaml                           on the generated toy city
  python -m tuning.train recipe.yaml --data photos/            on one's own images
  python -m tuning.train --trial street/7                      trial 7 of the study street again, to its last step
  python -m tuning.train --trial street/7 --max-steps 20000 --all-data
                                                               longer, and on the validation images too
  python -m tuning.train --run 0a1b2c... --tracking-uri http://mlflow:5000
                                                               what MLflow holds of a trial, without its study

A training is a study of one trial: <studies-dir>/<study>/ holds it, MLflow records it, `python -m tuning.promote` takes
it. The same command again goes on where it was interrupted. The same recipe, data and seed give the same losses with
--threads 1 on a CPU. Exit code: 0, 1 if the training failed, 2 for an error of the user's, 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.train",
        description="Trains one recipe to its last step.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = line.add_mutually_exclusive_group(required=True)
    source.add_argument("recipe", nargs="?", type=Path, help="a YAML file, as every trial's folder has one")
    source.add_argument("--trial", metavar="STUDY/7", help="the recipe and the data of a study's trial")
    source.add_argument(
        "--run", metavar="MLFLOW_ID", help="the recipe and the data of a trial's run in MLflow"
    )
    add = line.add_argument
    add(
        "--data",
        help="labelled images: a folder or s3://... (default: the trial's; with a recipe.yaml, the toy city)",
    )
    add("--all-data", action="store_true", help="train on the validation images too, and on all the images where the "
        "trial had a --subset")  # fmt: skip
    add(
        "--max-steps",
        type=int,
        help="gradient steps (default: the recipe's; its schedule is in fractions of them)",
    )
    add("--study", help="the training's name (default: after the recipe and the data)")
    add(
        "--studies-dir",
        type=Path,
        default=Path("studies"),
        help="where studies are kept (default: ./studies)",
    )
    add("--tracking-uri", help="of an MLflow server (default: mlflow.db in the studies' folder)")
    add("--threads", type=int, help="CPU threads (default: all)")
    add(
        "--gpus",
        type=float,
        help="a GPU, or a fraction of one's memory; 0 for none (default: one if there is one)",
    )
    add("--debug", action="store_true", help="show the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug, interrupted="stopped at once; the same command goes on")


def _main(chosen: argparse.Namespace) -> int:
    for name in ("max_steps", "threads"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if chosen.gpus is not None and chosen.gpus < 0:
        raise UserError(f"--gpus must be at least 0, not {chosen.gpus:g}")
    name = chosen.study or ""
    if name in (*RESERVED, ".", "..") or "/" in name or name != name.strip():
        raise UserError(f"--study '{name}' cannot be a study's folder; give a plain name")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the trainer runs here, and TensorFlow talks

    from tuning.api import recipe_source, training
    from tuning.tracking.store import default_uri

    if chosen.trial is not None:
        source = recipe_source.of_trial(chosen.trial, chosen.studies_dir)
    elif chosen.run is not None:
        source = recipe_source.of_run(chosen.run, chosen.tracking_uri or default_uri(chosen.studies_dir))
        if source.data is None and chosen.data is None:
            raise UserError(f"--run {chosen.run}: does not say on what data it was trained; give --data")
    else:
        source = recipe_source.of_file(chosen.recipe)
    asked = training.Training(
        source=source,
        studies_dir=chosen.studies_dir,
        max_steps=chosen.max_steps,
        data=chosen.data,
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
