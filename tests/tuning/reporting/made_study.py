"""A study whose trials found what a formula of their parameters says, in images that are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import search_spaces
from search_spaces.conditions import Conditions
from trainers.detection import coco_metrics
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.task import DETECTION
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.tpe import TPESampler
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study.curves import CurveFile
from tuning.study.manifest import Manifest
from tuning.study.step_result import StepResult
from tuning.study.study import Study

CLASSES = ("vehicle", "pedestrian", "cyclist")
RUNGS = (45, 134, 400)


def truth(images: int, classes: int, seed: int = 0) -> list[ImageResult]:
    """Images of 320 x 240 pixels with one to seven boxes each, and nothing found."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        count = int(rng.integers(1, 8))
        corner = rng.uniform(0, 1, (count, 2)) * [160, 240]
        size = rng.uniform(12, 80, (count, 2))
        made.append(
            ImageResult(
                240, 320, np.hstack([corner, corner + size]), rng.integers(0, classes, count), np.zeros(count, bool),
                np.zeros((0, 4)), np.zeros(0, int), np.zeros(0),
            )
        )  # fmt: skip
    return made


def found(true: Sequence[ImageResult], quality: float, classes: int, seed: int) -> list[ImageResult]:
    """What a detector of that quality, 0..1, finds in them."""
    rng = np.random.default_rng(seed)
    results = []
    for image in true:
        seen = rng.random(len(image.true_classes)) < 0.3 + 0.7 * quality
        boxes = image.true_boxes[seen]
        boxes = boxes + rng.normal(0, 1 + 6 * (1 - quality), boxes.shape)
        false = int(rng.poisson(3 * (1 - quality)))
        corner = rng.uniform(0, 200, (false, 2))
        results.append(
            ImageResult(
                image.height, image.width, image.true_boxes, image.true_classes, image.crowd,
                np.vstack([boxes, np.hstack([corner, corner + rng.uniform(12, 80, (false, 2))])]),
                np.concatenate([image.true_classes[seen], rng.integers(0, classes, false)]),
                np.concatenate([rng.beta(3, 2, seen.sum()), rng.beta(2, 4, false)]).astype(np.float32),
            )
        )  # fmt: skip
    return results


def quality(recipe: dict[str, object], step: int, steps: int) -> float:
    """Best at a learning rate of .003 of Adam; grows with the steps."""
    rate = float(recipe["schedule"]["base"])  # type: ignore[index]
    kind = recipe["optimizer"]["kind"]  # type: ignore[index]
    height = math.exp(-abs(math.log10(rate / 0.003))) * (1.0 if kind == "adam" else 0.8)
    return 0.9 * height * (step / steps) ** 0.5


def make(
    folder: Path,
    trials: int,
    classes: Sequence[str] = CLASSES,
    images: int = 40,
    space: str = "mobilenet",
    steps_of_last: int | None = None,
    data: dict[str, object] | None = None,
    fails_above: float = math.inf,
    objective: str = "mAP",
) -> Study:
    """The study, closed. steps_of_last: the last trial is left running after the rung at so many steps, 0 for none.
    fails_above: a learning rate above which trials diverge.
    """
    conditions = Conditions(steps=RUNGS[-1])
    asked = search_spaces.get(space)
    about = Manifest(
        study=folder.name, space=space, space_hash="abc", preset="laptop", max_steps=RUNGS[-1], image_size=None,
        batch_size=None, weights="none", reduction_factor=3, seed=1, versions={"python": "3"}, objective=objective,
        space_rows=[row.to_dict() for row in asked.rows(conditions)],
        data=data or {
            "name": "drawn", "source": "drawn", "given": "nowhere", "fingerprint": "0123", "subset": 1.0,
            "classes": list(classes), "images": {"train": 100, "validation": images},
        },
    )  # fmt: skip
    study = Study.open(folder, about, durable=False)
    sampler = TPESampler(SamplerContext(lambda trial: asked.suggest(trial, conditions), 1, study.objective))
    seeds = asked.seeds(conditions)[: min(2, trials)]
    search = Search(study, sampler, Halving(RUNGS), trials, seeds)
    true = truth(images, len(classes))
    while (record := search.propose()) is not None:
        if record.recipe["schedule"]["base"] > fails_above:
            search.report(
                StepResult(record.number, 3, "failed", reason="diverged: total loss is nan at step 3")
            )
            continue
        last = record.number == trials - 1 and steps_of_last is not None
        _run(search, record.number, dict(record.recipe), true, classes, steps_of_last if last else None)
        if last:
            break
    study.close()
    return study


def _run(
    search: Search,
    number: int,
    recipe: dict[str, object],
    true: list[ImageResult],
    classes: Sequence[str],
    leave_at: int | None,
) -> None:
    folder = search.study.trial_folder(number)
    curve, before = CurveFile(folder / "metrics.jsonl", RUNGS[-1]), 0
    for step in RUNGS:
        if leave_at is not None and step > leave_at:
            return
        steps = list(range(before + 1, step + 1))
        losses = [3 - 2 * quality(recipe, at, RUNGS[-1]) + 0.05 * math.sin(at) for at in steps]
        curves = {"training_loss/total": losses, "learning_rate": [0.001] * len(steps)}
        results = found(true, quality(recipe, step, RUNGS[-1]), len(classes), number)
        DETECTION.write_results(folder, step, results)
        metrics = coco_metrics.evaluate(results, classes)
        metrics["validation_loss/total"] = 3.1 - 2 * quality(recipe, step, RUNGS[-1])
        result = StepResult(
            number, step, "rung", steps=steps, curves=curves, metrics=metrics, seconds_training=step * 0.1,
            seconds_overhead=2.0 + step * 0.01,
        )  # fmt: skip
        curve.append(result)
        before = step
        if not search.report(result):
            return
