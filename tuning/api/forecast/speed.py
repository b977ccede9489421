"""Speed: how long a model trains on this machine: measured in this study, in an earlier one here, in first steps that
were taken for it, or from a table."""

from __future__ import annotations

import statistics
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers import model as models
from trainers.errors import UserError
from tuning.execution.environment import hardware, noted_hardware
from tuning.search.limits.pace import Pace
from tuning.study import reading
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

# measured on a CPU: seconds until a new worker has done its first evaluation; a later trial's start and evaluation
COLD_SECONDS, WARM_SECONDS = 40.0, 6.0
TABLE = "from a table for CPUs"
TIMED = "from its first steps here"
LATEST = 8  # studies that are looked at


@dataclass(frozen=True)
class Speed:
    """How long a model trains.

    step: seconds of a gradient step; None if unknown. stage: worker seconds from rung to rung besides the steps.
    cold: further seconds before the first step of a worker process. source: where this is known from, for the user.
    """

    step: float | None
    stage: float
    cold: float
    source: str


@dataclass(frozen=True)
class FirstSteps:
    """What a model's first steps on this machine showed.

    per_pixel: seconds of a step per pixel of its batch, at a relative cost of 1. cold: seconds before the first step.
    """

    per_pixel: float
    cold: float

    def speed(self, pixels: int) -> Speed:
        """For a step over so many pixels."""
        return Speed(self.per_pixel * pixels, WARM_SECONDS, self.cold, TIMED)


def from_table(model: str, pixels: int, cpus: float) -> Speed:
    """By the figures that the model states for CPUs, for a step over so many pixels."""
    return Speed(models.get(model).cost.step_seconds(pixels, cpus), WARM_SECONDS, COLD_SECONDS, TABLE)


def measured(records: Iterable[TrialRecord], pixels: Mapping[str, int], source: str) -> dict[str, Speed]:
    """Of the models that these trials have trained to a rung. pixels: of a step by model, for which a step is scaled."""
    trained = [record for record in records if record.rungs and record.rungs[0].seconds_training > 0]
    pace = Pace(trained)
    found = {}
    for model in pixels:
        of_it = [record for record in trained if record.model == model]
        step, stage = pace.seconds_per_step(model), pace.overhead(model)
        if step is None or stage is None:
            continue
        theirs = statistics.mean(r.recipe["image_size"] ** 2 * r.recipe["batch_size"] for r in of_it)
        first = of_it[0].rungs[0]  # of a new worker
        cold = max(0.0, first.seconds - first.seconds_training - stage)
        found[model] = Speed(step * pixels[model] / theirs, stage, cold, source)
    return found


def known(
    pixels: Mapping[str, int],
    cpus: float,
    studies: Path,
    own: Sequence[TrialRecord] = (),
    first_steps: Mapping[str, FirstSteps] = types.MappingProxyType({}),
) -> dict[str, Speed]:
    """The speed of each model: measured in the study itself, else in the latest study of this machine, else by its
    first steps, else a table's.

    pixels: of a step by model. cpus: of a worker. studies: the folder of studies. own: the trials of the study so far.
    """
    found = measured(own, pixels, "as measured in this study")
    folders = [path.parent for path in studies.glob("*/study.json")]
    folders.sort(key=lambda folder: max(path.stat().st_mtime for path in folder.iterdir()), reverse=True)
    for folder in folders[:LATEST]:
        missing = {model: count for model, count in pixels.items() if model not in found}
        if not missing:
            break
        try:
            study = reading.read(str(folder), studies)
        except UserError:  # damaged; the user is told when it is used
            continue
        here = [record for record in study.records if noted_hardware(_folder(study, record)) == hardware()]
        found |= measured(here, missing, f"as measured in study {folder.name}")
    found |= {model: steps.speed(pixels[model]) for model, steps in first_steps.items() if model not in found}
    return {model: found.get(model) or from_table(model, count, cpus) for model, count in pixels.items()}


def _folder(study: StudyRead, record: TrialRecord) -> Path:
    return study.folder / "trials" / str(record.number)
