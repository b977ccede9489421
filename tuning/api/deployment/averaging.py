"""Averages the weights of a trial with those of others of its network, where that is better: a greedy soup.

After Wortsman et al., "Model soups", 2022: the others join one by one, the best first, and stay if the average is
better. That is decided on half of the validation images; what it gains is measured on the other half.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import export as exports
from trainers import model as models
from trainers import recipe as recipes
from trainers import task as tasks
from trainers.errors import TrialFailed, UserError
from trainers.keras_training import start_up_lines
from trainers.task import Task
from trainers.trainer import Trainer
from tuning.api.exporting import EXPORT
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer
from tuning.study.reading import StudyRead
from tuning.study.storage.working_copy import fetch_trial, push_folder
from tuning.study.trial_folder import newest_checkpoint
from tuning.study.trial_record import TrialRecord, by_score

MOST = 8  # other trials that are tried
RESAMPLES, SEED = 2000, 0
FEWEST = 20  # validation images
AVERAGE = "average"  # in an export's manifest: the trials whose weights it has, and the gain


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
    modules = models.modules_of([record.model])
    job = {
        "trials": [str(folder), *(str(folder.parent / str(each.number)) for each in others)],
        "data": study.manifest.data, "objective": study.objective.name, "write": write, "trainer": trainer,
        "about": {"study": study.manifest.study, "trial": record.number}, "modules": list(modules),
    }  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": python_path(modules)},
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    with running:
        running.stdin.write(json.dumps(job))
        running.stdin.close()
        found = None
        for line in running.stdout:
            if line.startswith("{"):
                found = json.loads(line)
            else:
                say(line.rstrip("\n"))
        errors = running.stderr.read().strip().splitlines() or ["it was killed"]
    if running.returncode or found is None:
        raise UserError(errors[-1].removeprefix("error: ")[:300])
    result = Averaged(**{**found, "trials": tuple(found["trials"])})
    if write and result.gained:
        push_folder(folder, EXPORT)
    return result


class _Measured:
    """The objective of a checkpoint: on the images that decide, and on resamples of the others."""

    def __init__(self, trainer: Trainer, task: Task, classes: Sequence[str], objective: str) -> None:
        self._trainer = trainer
        self._task = task
        self._classes = classes
        self._objective = task.objective(objective, classes)
        self._counts: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def images(self) -> int:
        """How many decide nothing."""
        assert self._counts is not None
        return int(self._counts[1].sum())

    def __call__(self, recipe: recipes.Recipe, checkpoint: Path) -> tuple[float, float, np.ndarray]:
        """On the images that decide; on the others; and on resamples of these, (B,)."""
        self._trainer.start(recipe, checkpoint)
        results = self._trainer.evaluate().results
        if len(results) < FEWEST:
            raise UserError(
                f"there are results of {len(results)} validation images, and at least {FEWEST} are needed"
            )
        if self._counts is None:
            self._counts = _halves(len(results))
        terms = self._objective.criteria[0].terms
        names = [name for _, name in terms]
        found = self._task.resampled(results, self._classes, self._counts, names)
        if missing := [name for name in names if name not in found]:
            raise UserError(f"{missing[0]} cannot be measured on half of the images")
        deciding, others, resampled = (
            np.sum([weight * found[name][part] for weight, name in terms], axis=0) for part in range(3)
        )
        return float(deciding[0]), float(others[0]), resampled

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is the better value of the objective."""
        return self._objective.better(one, other)

    def gain(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """By how much `after` is better, for each resample."""
        sign = 1.0 if self._objective.better(1.0, 0.0) else -1.0
        return np.asarray(sign * (after - before))


def _halves(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(1, N) of the images that decide, (1, N) of the others, and (RESAMPLES, N) of resamples of the others."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(images)
    deciding, others = order[: images // 2], order[images // 2 :]
    halves = np.zeros((2, 1, images), np.int32)
    halves[0, 0, deciding] = halves[1, 0, others] = 1
    resampled = np.zeros((RESAMPLES, images), np.int32)
    resampled[:, others] = rng.multinomial(len(others), np.full(len(others), 1 / len(others)), size=RESAMPLES)
    return halves[0], halves[1], resampled


def make(job: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Find the average in this process, and export it if it gains and is to be written; fields of Averaged."""
    from trainers.hardware.machine import cpus_here, gpus_here
    from tuning.study.data import reopen

    for module in job["modules"]:
        importlib.import_module(module)
    folders = [Path(each) for each in job["trials"]]
    checkpoints = []
    for folder in folders:
        newest = newest_checkpoint(folder)
        if newest is None:
            raise UserError(f"{folder}: its checkpoint is gone; train it again")
        checkpoints.append(newest[1])
    recipe = recipes.read(folders[0] / "recipe.yaml")
    about = models.get(recipe.model)
    task = tasks.get(about.task)
    assert about.average is not None
    module, _, name = about.average.partition(":")
    averaged = getattr(importlib.import_module(module), name)
    dataset = reopen(task, job["data"], folders[0].parents[2] / "data")
    options = {"cpus": cpus_here(), "gpu_fraction": min(1.0, gpus_here())}
    trainer = make_trainer(job["trainer"] or about.trainer, dataset, options)
    measured = _Measured(trainer, task, dataset.classes, job["objective"])
    deciding, before, resampled = measured(recipe, checkpoints[0])
    best, after, gains = deciding, before, np.zeros(RESAMPLES)
    chosen = [0]
    say(f"trial {folders[0].name} alone: {job['objective']} {deciding:.3f} on the images that decide")
    with tempfile.TemporaryDirectory(prefix="average-") as scratch:
        target = Path(scratch) / checkpoints[0].name
        for i in range(1, len(folders)):
            averaged([checkpoints[each] for each in (*chosen, i)], target)
            value, there, their = measured(recipe, target)
            joins = measured.better(value, best)
            say(f"with trial {folders[i].name}: {value:.3f}{'' if joins else ', left out'}")
            if joins:
                chosen.append(i)
                best, after, gains = value, there, measured.gain(resampled, their)
        low, high = np.nanquantile(gains, [0.025, 0.975])
        found = {
            "objective": job["objective"], "trials": [int(folders[i].name) for i in chosen], "before": before,
            "after": after, "low": float(low), "high": float(high), "images": measured.images,
        }  # fmt: skip
        if job["write"] and Averaged(**{**found, "trials": tuple(found["trials"])}).gained:
            averaged([checkpoints[each] for each in chosen], target)
            trainer.start(recipe, target)
            trainer.export(folders[0] / EXPORT)
            exports.amend(folders[0] / EXPORT, **job["about"], **{AVERAGE: found})
    return found


if __name__ == "__main__":  # what `average` runs
    start_up_lines.hide()
    try:
        print(json.dumps(make(json.load(sys.stdin), lambda line: print(line, flush=True))))
    except (UserError, TrialFailed) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
