"""`python -m tuning.select STUDY --pool photos/ --count 200`: chooses which images of a pool to label next."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.command import Parser, run
from trainers.datasets.formats import MODULES
from trainers.errors import UserError
from trainers.keras_training import start_up_lines
from tuning.reporting.console import console_of
from tuning.selection.neighbours import FRAME_GAP
from tuning.stores.arguments import add_studies_dir

EXAMPLES = """\
examples:
  python -m tuning.select street --pool photos/ --count 200 --out to_label/
                                        the 200 images whose labels the study's best detector needs most
  python -m tuning.select exports/best --pool photos/ --count 200 --strategy diverse-entropy --format yolo --out todo/
  python -m tuning.select street --pool photos/ --count 200 --strategy disagreement --other exports/two --out todo/
  python -m tuning.select --merge labels/ --manifest to_label/ --data photos-labelled/ --out photos-more/
                                        when the labels come back: the data set with them, and its history

The pool is scored once: the same command, or one with another strategy, goes on where a killed one ended. Images that
look like a picked one, and the frames beside it in a video, are passed over. --out has a folder for each format, with
the detector's boxes as a first answer, index.html, which says why each image was picked, and selection.json.
Exit code: 0; 2 for wrong input, and then nothing is written.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.select",
        description="Chooses which images of an unlabelled pool to label next, and takes the labels back.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument_group("what to label").add_argument
    add(
        "detector",
        nargs="?",
        metavar="STUDY|EXPORT",
        help="a study, whose best trial is taken, or an export's folder",
    )
    add("--pool", type=Path, metavar="DIR", help="folder of images without labels")
    add("--count", type=int, metavar="N", help="images to label")
    add(
        "--strategy",
        default="entropy",
        metavar="NAME",
        help="an unknown one lists them all (default: entropy)",
    )
    add("--other", metavar="STUDY|EXPORT", help="the second detector of --strategy disagreement")
    add("--labelled", action="append", default=[], metavar="DATA",
        help="labelled images to leave out of the pool, as a study's own data are; may be repeated")  # fmt: skip
    add("--frame-gap", type=int, default=FRAME_GAP, metavar="N",
        help=f"frames of a video around a picked one that are passed over (default: {FRAME_GAP})")  # fmt: skip
    add("--seed", type=int, default=0, help="of random choices (default: 0)")
    add = line.add_argument_group("output").add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write; it must not exist")
    add("--format", action="append", default=[], choices=MODULES, metavar="NAME", dest="formats",
        help="coco (default), pascal_voc, yolo, cvat, label_studio, ...; may be repeated")  # fmt: skip
    add(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="of the boxes that are written (default: the export's)",
    )
    add = line.add_argument_group("labels that came back").add_argument
    add("--merge", type=Path, metavar="LABELS", help="the labelled images, in any format")
    add("--manifest", type=Path, metavar="DIR", help="the folder that the selection wrote")
    add("--data", metavar="DATA", help="the data set that they join; --out is the joined one")
    add("--partial", action="store_true", help="take labels of some of the images that were asked for")
    add("--new-classes", action="store_true", help="take classes that the data set does not have")
    add_studies_dir(add)
    add("--debug", action="store_true", help="print the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    start_up_lines.hide()
    return run(
        lambda: _merge(chosen) if chosen.merge else _select(chosen),
        chosen.debug,
        interrupted="stopped; what was scored is kept, run the same command to go on",
    )


def _merge(chosen: argparse.Namespace) -> int:
    from tuning.selection import manifest, merging

    for flag in ("manifest", "data"):
        if getattr(chosen, flag) is None:
            raise UserError(f"--merge needs --{flag}; see --help")
    if len(chosen.formats) > 1:
        raise UserError("--merge writes one --format; leave out the others")
    to = chosen.formats[0] if chosen.formats else "coco"
    done = merging.merge(
        chosen.merge,
        manifest.read(chosen.manifest),
        chosen.data,
        chosen.out,
        to,
        chosen.partial,
        chosen.new_classes,
    )
    left = f", {done.left} still to label" if done.left else ""
    print(
        f"{chosen.out}: {done.images} images of cycle {done.cycle} joined{left}; fingerprint {done.fingerprint}"
    )
    return 0


def _select(chosen: argparse.Namespace) -> int:
    from tuning.selection import selecting
    from tuning.selection.strategies import get

    for flag in ("detector", "pool", "count"):
        if getattr(chosen, flag) is None:
            raise UserError(
                f"{'STUDY or EXPORT' if flag == 'detector' else f'--{flag}'} is missing; see --help"
            )
    strategy = get(chosen.strategy)
    if chosen.count < 1 or chosen.frame_gap < 0:
        raise UserError("--count must be at least 1, and --frame-gap at least 0")
    if chosen.threshold is not None and not 0 <= chosen.threshold <= 1:
        raise UserError(f"--threshold must be between 0 and 1, not {chosen.threshold:g}")
    if ("other" in strategy.needs) != (chosen.other is not None):
        needs = "needs a second detector: --other" if "other" in strategy.needs else "takes no --other"
        raise UserError(f"--strategy {strategy.name} {needs}")
    asked = selecting.Selection(
        chosen.detector, chosen.other, chosen.pool, chosen.count, strategy, chosen.out,
        tuple(chosen.formats or ("coco",)), tuple(chosen.labelled), chosen.threshold, chosen.seed, chosen.frame_gap,
        chosen.studies_dir,
    )  # fmt: skip
    console = console_of(sys.stderr)
    made = selecting.select(asked, console)
    print(
        f"{chosen.out}: {len(made.images)} images to label, by {strategy.title}; open {chosen.out / 'index.html'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
