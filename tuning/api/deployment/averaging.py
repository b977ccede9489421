"""Averages the weights of a trial with those of others of its network, where that is better: a greedy soup.

After Wortsman et al., "Model soups", 2022: the others join one by one, the best first, and stay if the average is
better. That is decided on half of the validation images; what it gains is measured on the other half.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import export as exports
from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.trainer import Trainer
from tuning.api.deployment import export_results, on_checkpoints
from tuning.api.deployment.export_results import AVERAGE
from tuning.api.deployment.on_checkpoints import Job
from tuning.api.deployment.resampled_objective import RESAMPLES, SEED, ResampledObjective, interval, resamples
from tuning.api.exporting import EXPORT, on_test_part
from tuning.study.reading import StudyRead
from tuning.study.storage.working_copy import fetch_trial, push_folder
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord, by_score

MOST = 8  # other trials that are tried
FEWEST = 20  # validation images


@dataclass(frozen=True)
class Averaged:
    """What came of it. trials: whose weights are averaged, the chosen one first.

    before, after: the objective of the first alone and of the average, on `images` images that decided nothing.
    low, high: the 95% bootstrap interval of the gain over these images.
    """

    objective: str
    trials: tuple[int, ...]
    before: float
    after: float
    low: float
    high: float
    images: int

    @property
    def gained(self) -> bool:
        """Whether others have joined, and the gain is beyond chance."""
        return len(self.trials) > 1 and self.low > 0

    def lines(self) -> list[str]:
        """For people."""
        if len(self.trials) == 1:
            return ["no other trial makes the average better"]
        joined = " and ".join([", ".join(map(str, self.trials[:-1])), str(self.trials[-1])])
        verdict = "" if self.gained else "; nothing gained beyond chance"
        return [
            f"average of trials {joined}",
            f"{self.objective}  {self.before:.3f} -> {self.after:.3f} on {self.images} images that decided nothing",
            f"gain  {self.after - self.before:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f}){verdict}",
        ]


def candidates(study: StudyRead, record: TrialRecord) -> list[TrialRecord]:
    """The other trials whose weights may join, the best first: of its network, as far trained, with a checkpoint."""
    network = recipes.architecture(record.recipe)

    def fits(other: TrialRecord) -> bool:
        return (
            other.number != record.number
            and other.value is not None
            and other.step >= record.step
            and other.fold is None
            and recipes.architecture(other.recipe) == network
            and (other.recipe.get("averaging") is None) == (record.recipe.get("averaging") is None)
        )

    found = by_score(filter(fits, study.records))
    kept = []
    for each in found:
        folder = study.folder / "trials" / str(each.number)
        fetch_trial(folder)
        if newest_checkpoint(folder) is not None:
            kept.append(each)
    return kept[:MOST]


def average(
    study: StudyRead, record: TrialRecord, write: bool, say: Callable[[str], None], trainer: str | None = None
) -> Averaged:
    """Average the weights of `record` with those of other trials of its study.

    write: give the trial an export with the averaged weights if they gain. say: is called with each line of progress.
    trainer: factory, "module:callable", instead of the model's own.
    Raises UserError if the model's checkpoints cannot be averaged, nothing could join, or no checkpoint is there.
    """
    about = models.get(record.model)
    if about.average is None:
        raise UserError(f"{study.folder}: the checkpoints of {about.name} cannot be averaged (Model.average)")
    others = candidates(study, record)
    if not others:
        raise UserError(
            f"{study.folder}: no other trial has the network of trial {record.number}, is trained to step "
            f"{record.step}, and has a checkpoint; choose another --trial"
        )
    folder = (study.folder / "trials" / str(record.number)).absolute()
    fetch_trial(folder)
    numbers = [record.number, *(each.number for each in others)]
    job = on_checkpoints.job_of(study, record, numbers, write=write, trainer=trainer)
    found = on_checkpoints.run(__name__, job, say)
    result = Averaged(**{**found, "trials": tuple(found["trials"])})
    if write and result.gained:
        push_folder(folder, EXPORT)
    return result


class _Measured:
    """The objective of a checkpoint: on the images that decide, and on resamples of the others."""

    def __init__(self, trainer: Trainer, objective: ResampledObjective) -> None:
        self._trainer = trainer
        self._objective = objective
        self._counts: list[np.ndarray] = []
        self.results: Sequence[Any] = ()  # of the latest evaluation

    @property
    def images(self) -> int:
        """How many decide nothing."""
        return int(self._counts[1].sum())

    def __call__(self, recipe: recipes.Recipe, checkpoint: Path) -> tuple[float, float, np.ndarray]:
        """On the images that decide; on the others; and on resamples of these, (B,)."""
        self._trainer.start(recipe, checkpoint)
        self.results = results = self._trainer.evaluate().results
        if len(results) < FEWEST:
            raise UserError(
                f"there are results of {len(results)} validation images, and at least {FEWEST} are needed"
            )
        if not self._counts:
            self._counts = _halves(len(results))
        deciding, others, resampled = self._objective.values(results, self._counts)
        return float(deciding[0]), float(others[0]), resampled


def _halves(images: int) -> list[np.ndarray]:
    """(1, N) of the images that decide, (1, N) of the others, and (B, N) of resamples of the others."""
    order = np.random.default_rng(SEED).permutation(images)
    deciding, others = order[: images // 2], order[images // 2 :]
    halves = np.zeros((2, 1, images), np.int32)
    halves[0, 0, deciding] = halves[1, 0, others] = 1
    return [*halves, resamples(images, others)]


def make(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    """Find the average in this process, and export it if it gains and is to be written; fields of Averaged."""
    opened = on_checkpoints.open_trials(job)
    folders, checkpoints, recipe, trainer = opened.folders, opened.checkpoints, opened.recipe, opened.trainer
    assert opened.model.average is not None
    module, _, name = opened.model.average.partition(":")
    averaged = getattr(importlib.import_module(module), name)
    objective = ResampledObjective(opened.task, opened.dataset.classes, job["objective"])
    measured = _Measured(trainer, objective)
    deciding, before, resampled = measured(recipe, checkpoints[0])
    best, after, gains = deciding, before, np.zeros(RESAMPLES)
    chosen, results = [0], measured.results
    say(f"trial {folders[0].name} alone: {objective.name} {deciding:.3f} on the images that decide")
    with tempfile.TemporaryDirectory(prefix="average-") as scratch:
        target = Path(scratch) / checkpoints[0].name
        for i in range(1, len(folders)):
            averaged([checkpoints[each] for each in (*chosen, i)], target)
            value, there, their = measured(recipe, target)
            joins = objective.better(value, best)
            say(f"with trial {folders[i].name}: {value:.3f}{'' if joins else ', left out'}")
            if joins:
                chosen.append(i)
                results = measured.results
                best, after, gains = value, there, objective.gain(resampled, their)
        low, high = interval(gains)
        found: dict[str, Any] = {
            "objective": objective.name, "trials": [int(folders[i].name) for i in chosen], "before": before,
            "after": after, "low": low, "high": high, "images": measured.images,
        }  # fmt: skip
        if job["write"] and Averaged(**{**found, "trials": tuple(found["trials"])}).gained:
            averaged([checkpoints[each] for each in chosen], target)
            trainer.start(recipe, target)
            trainer.export(folders[0] / EXPORT)
            on_test = on_test_part(job["trainer"] or opened.model.trainer, opened.dataset, recipe, target)
            exports.amend(folders[0] / EXPORT, **job["about"], **on_test, **{AVERAGE: found})
            export_results.keep(opened.task, folders[0], results)
    return found


if __name__ == "__main__":  # what `average` runs
    on_checkpoints.answer(make)
