"""`python -m tuning.postprocess STUDY`: tunes what happens after training, on kept results or by evaluations."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainers.command import Parser, run
from trainers.errors import UserError
from trainers.keras_training import start_up_lines
from tuning.reporting.console import console_of
from tuning.stores.arguments import add_studies_dir

if TYPE_CHECKING:
    from tuning.api.deployment.after_training import Chosen
    from tuning.api.deployment.averaging import Averaged
    from tuning.study.reading import StudyRead
    from tuning.study.trial_record import TrialRecord

EXAMPLES = """\
examples:
  python -m tuning.postprocess street                  the best trial: what could be gained
  python -m tuning.postprocess street --trial 7 --write    and give its export the settings, if they gain
  python -m tuning.postprocess street --image-sizes 320,384    another input size than that of the training
  python -m tuning.postprocess street --flip               the image and its mirror image decide together
  python -m tuning.postprocess street --average --write    the average of its weights with other trials', if that gains

Tuned are, of a detector, the score threshold of each class, the IoU of suppression, and the largest number of
detections in an image, for F1 on the validation images, in seconds; of a segmentation model, by an evaluation of each
value, what is added to the logits of rare classes, and when a connected region gets one class. The gain is measured on
images that the settings were not tuned on.
--flip is for models whose recipes have flip_test: the mean of both predictions counts, at twice the work of an image.
With --image-sizes, the work of an image grows with the area: the seconds are said. Tune thresholds after it.
--average tries trials of the same network, the best first: an evaluation each. It makes the export anew; tune it after.
Exit code: 0, also if nothing is gained; 2 for an error.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = Parser(
        prog="python -m tuning.postprocess",
        description="Tunes what happens after training: thresholds and suppression of a detector, the logits and "
        "regions of a segmentation model; or averages weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("study", help="name or folder of the study")
    add("--trial", type=int, metavar="N", help="number of the trial (default: the best completed one)")
    by_evaluations = line.add_mutually_exclusive_group().add_argument
    by_evaluations(
        "--average",
        action="store_true",
        help="average the trial's weights with those of other trials, instead of tuning",
    )
    add("--flip", action="store_true", help="evaluate it with images and their mirror images together, too")
    by_evaluations(
        "--image-sizes",
        type=_sizes,
        metavar="A,B",
        help="evaluate the trial's checkpoint at these input sizes too, in pixels, instead of tuning thresholds",
    )
    add(
        "--write",
        action="store_true",
        help="give the trial's export the settings, or weights, if they gain; it is made if needed",
    )
    add_studies_dir(add)
    add("--debug", action="store_true", help="print the traceback of an error")
    add("--trainer", help=argparse.SUPPRESS)
    return line


def _sizes(text: str) -> list[int]:
    """`256,320` -> [256, 320]."""
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of sizes like 256,320") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    start_up_lines.hide()
    from trainers import model as models
    from tuning.api import promotion
    from tuning.api.deployment import after_training, export_results
    from tuning.api.exporting import EXPORT, export_trial
    from tuning.study import reading
    from tuning.study.storage.working_copy import push_folder

    study = reading.read(chosen.study, chosen.studies_dir)
    record = promotion.chosen(study, chosen.trial)
    folder = (study.folder / "trials" / str(record.number)).absolute()
    console = console_of(sys.stdout)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if chosen.average and chosen.flip:
        raise UserError("--flip and --average are tried one after the other; leave out one of them")
    if chosen.average:
        return _average(chosen, study, record, say)
    values: dict[str, Sequence[Any]] = dict(models.get(record.model).after_training)
    if chosen.image_sizes:
        values["image_size"] = chosen.image_sizes
    if chosen.flip:
        values |= after_training.mirroring(record.model)
    if values:
        return _by_evaluations(chosen, study, record, values, say)
    results = export_results.read(study.task, folder, record.step)
    if not results:
        raise UserError(
            f"{folder}: no results of its validation images at step {record.step} are kept; choose another --trial"
        )
    found = study.task.tuned_postprocessing(results, tuple(study.manifest.data["classes"]))
    say(f"{study.manifest.study} trial {record.number}, step {record.step}")
    for line in found.lines():
        say(line)
    if not chosen.write:
        return 0
    if not found.gained:
        say("its export is left as it is")
        return 0
    about = {"study": study.manifest.study, "trial": record.number}
    export = export_trial(folder, study.manifest.data, about, trainer=chosen.trainer)
    found.write(export)
    push_folder(folder, EXPORT)
    say(
        f"written to {export}; `python -m serve.run --study {study.manifest.study}` serves the best trial with them"
    )
    return 0


def _average(
    chosen: argparse.Namespace, study: StudyRead, record: TrialRecord, say: Callable[[str], None]
) -> int:
    from tuning.api.deployment import averaging

    say(f"{study.manifest.study} trial {record.number}, step {record.step}")
    return _made(chosen, averaging.average(study, record, chosen.write, say, chosen.trainer), say)


def _by_evaluations(
    chosen: argparse.Namespace,
    study: StudyRead,
    record: TrialRecord,
    values: Mapping[str, Sequence[Any]],
    say: Callable[[str], None],
) -> int:
    from tuning.api.deployment import after_training

    say(f"{study.manifest.study} trial {record.number}, step {record.step}")
    found = after_training.choose(study, record, values, chosen.write, say, chosen.trainer)
    return _made(chosen, found, say)


def _made(chosen: argparse.Namespace, found: Averaged | Chosen, say: Callable[[str], None]) -> int:
    """Say what was found, and whether the export was made anew with it."""
    for line in found.lines():
        say(line)
    if chosen.write and found.gained:
        say(f"its export is made anew; `python -m tuning.promote {chosen.study}` registers it")
    elif chosen.write:
        say("its export is left as it is")
    return 0


if __name__ == "__main__":
    sys.exit(main())
