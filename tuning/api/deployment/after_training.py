"""Tries the values of recipe fields on a trial's checkpoint: those that change nothing in training, and image sizes.

The values of each field are tried with the best ones of the fields before it. The gain is measured by cross-validation:
the validation images of each of FOLDS parts are judged with what is best, of all that was tried, on the other parts.
Only which combinations are tried is decided on all images, once there is more than one field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers import export as exports
from trainers import model as models
from trainers import recipe as recipes
from trainers.errors import UserError
from tuning.api.deployment import export_results, on_checkpoints
from tuning.api.deployment.export_results import AVERAGE, TUNED
from tuning.api.deployment.on_checkpoints import Job
from tuning.api.deployment.resampled_objective import SEED, ResampledObjective, interval, resamples
from tuning.api.exporting import EXPORT, on_test_part
from tuning.study.reading import StudyRead
from tuning.study.storage.working_copy import fetch_trial, push_folder
from tuning.study.trial_record import TrialRecord

FOLDS = 5
FEWEST = 2 * FOLDS  # images

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """What came of it. fields: the best on all images, and `given`, the recipe's own.

    before, after: the objective with the recipe's own values and with chosen ones, in cross-validation.
    low, high: the 95% bootstrap interval of the gain over the `images`.
    """

    objective: str
    given: Fields
    fields: Fields
    before: float
    after: float
    low: float
    high: float
    images: int

    @property
    def gained(self) -> bool:
        """Whether other values than the recipe's are best, and the gain is beyond chance."""
        return dict(self.fields) != dict(self.given) and self.low > 0

    def lines(self) -> list[str]:
        """For people."""
        if dict(self.fields) == dict(self.given):
            return [f"the recipe's own values are the best: {_said(self.given)}"]
        verdict = "" if self.gained else "; nothing gained beyond chance"
        return [
            f"best   {_said(self.fields)} (the recipe: {_said(self.given)})",
            f"{self.objective}  {self.before:.3f} -> {self.after:.3f} on images that did not decide",
            f"gain   {self.after - self.before:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f}, "
            f"{self.images} images){verdict}",
        ]


def choose(
    study: StudyRead,
    record: TrialRecord,
    values: Mapping[str, Sequence[Any]],
    write: bool,
    say: Callable[[str], None],
    trainer: str | None = None,
) -> Chosen:
    """Choose the values for a trial by an evaluation of each.

    values: recipe fields -> the values to try, besides the recipe's own, one field after the other. The network's
        variables must not depend on these fields.
    write: make the trial's export with them if they gain. say: is called with each line of progress.
    trainer: factory, "module:callable", instead of the model's own.
    Raises UserError if a value is invalid, the checkpoint is gone, or there are too few validation images.
    """
    folder = (study.folder / "trials" / str(record.number)).absolute()
    fetch_trial(folder)
    recipe = recipes.build(record.recipe)
    for name, tried in values.items():
        for value in tried:
            recipe.replace(**{name: value})  # refuses one that is invalid before anything is evaluated
    fields = {name: list(tried) for name, tried in values.items()}
    job = on_checkpoints.job_of(study, record, [record.number], values=fields, write=write, trainer=trainer)
    found = Chosen(**on_checkpoints.run(__name__, job, say))
    if write and found.gained:
        push_folder(folder, EXPORT)
    return found


def mirroring(model: str) -> dict[str, list[bool]]:
    """The values of flip_test, for `choose`. Raises UserError if the model's recipes do not have it."""
    about = models.get(model)
    field = about.recipe.model_fields.get("flip_test")
    if field is None or field.annotation is not bool:
        raise UserError(
            f"{about.name}: cannot count mirror images too (no flip_test in its recipes); leave out --flip"
        )
    return {"flip_test": [False, True]}


def make(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    """Choose in this process, and export if it gains and is to be written; fields of Chosen."""
    opened = on_checkpoints.open_trials(job)
    [folder], [checkpoint] = opened.folders, opened.checkpoints
    target = folder / EXPORT
    if job["write"] and _is_average(target):
        raise UserError(
            f"{target}: has the average of several trials' weights, for which these values would not be chosen; "
            "delete it first"
        )
    objective = ResampledObjective(opened.task, opened.dataset.classes, job["objective"])
    given = {name: getattr(opened.recipe, name) for name in job["values"]}
    tried: list[dict[str, Any]] = []
    results: list[Sequence[Any]] = []
    values: list[float] = []

    def evaluate(fields: dict[str, Any]) -> None:
        opened.trainer.start(opened.recipe.replace(**fields), checkpoint, opened.recipe)
        metrics = opened.trainer.evaluate()
        if len(metrics.results) < FEWEST:
            raise UserError(
                f"there are results of {len(metrics.results)} validation images, and at least {FEWEST} are needed"
            )
        tried.append(fields)
        results.append(metrics.results)
        values.append(_on_all(objective, metrics.results))
        say(
            f"{_said(fields)}: {objective.name} {values[-1]:.3f}; {metrics.images} images in {metrics.seconds:.1f} s"
        )

    evaluate(given)
    for name, offered in job["values"].items():
        so_far = tried[_best(objective, np.array(values))]
        for fields in ({**so_far, name: value} for value in offered):
            if fields not in tried:
                evaluate(fields)
    found = _chosen(objective, tried, results)
    if job["write"] and found.gained:
        recipe = opened.recipe.replace(**found.fields)
        opened.trainer.start(recipe, checkpoint, opened.recipe)
        opened.trainer.export(target)
        on_test = on_test_part(
            job["trainer"] or opened.model.trainer, opened.dataset, recipe, checkpoint, opened.recipe
        )
        evidence = {"fields": found.fields, "before": found.before, "after": found.after, "low": found.low,
                    "high": found.high, "images": found.images}  # fmt: skip
        exports.amend(target, **job["about"], **on_test, **{TUNED: evidence})
        export_results.keep(opened.task, folder, results[tried.index(dict(found.fields))])
    return vars(found)


def _chosen(
    objective: ResampledObjective, tried: Sequence[Fields], results: Sequence[Sequence[Any]]
) -> Chosen:
    """tried: combinations, the recipe's own first. results: of each, for every validation image."""
    images = len(results[0])
    part = np.random.default_rng(SEED).permutation(images) % FOLDS
    elsewhere = [(part != fold)[np.newaxis].astype(np.int32) for fold in range(FOLDS)]
    # (combinations, FOLDS + 1): on the images outside each part, and on all
    values = np.array(
        [
            np.concatenate(objective.values(each, [*elsewhere, np.ones((1, images), np.int32)]))
            for each in results
        ]
    )
    best = [_best(objective, column) for column in values.T]
    judged = [results[best[fold]][image] for image, fold in enumerate(part)]
    counts = [np.ones((1, images), np.int32), resamples(images)]
    before, after = objective.values(results[0], counts), objective.values(judged, counts)
    low, high = interval(objective.gain(before[1], after[1]))
    return Chosen(
        objective.name,
        tried[0],
        tried[best[FOLDS]],
        float(before[0][0]),
        float(after[0][0]),
        low,
        high,
        images,
    )


def _best(objective: ResampledObjective, values: np.ndarray) -> int:
    """The place of the best value, the first of equals."""
    best = 0
    for place, value in enumerate(values):
        if objective.better(float(value), float(values[best])):
            best = place
    return best


def _on_all(objective: ResampledObjective, results: Sequence[Any]) -> float:
    return float(objective.values(results, [np.ones((1, len(results)), np.int32)])[0][0])


def _is_average(export: Path) -> bool:
    return (export / exports.MANIFEST).is_file() and AVERAGE in exports.read(export).manifest


def _said(fields: Fields) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


if __name__ == "__main__":  # what `choose` runs
    on_checkpoints.answer(make)
