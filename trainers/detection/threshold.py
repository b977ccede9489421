"""The score threshold of an export: precision, recall and F1 at each score, and the score that a condition chooses.

They are measured on the validation images by COCO's matching at an IoU of .5, where crowds and objects to ignore count
as neither right nor wrong. `threshold.json` in the export keeps the curves and the choice.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers.detection import export as exports
from trainers.detection import matching
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.export import THRESHOLD
from trainers.detection.matching import ClassMatches
from trainers.detection.postprocessing.settings import POSTPROCESSING
from trainers.errors import UserError
from trainers.export import MANIFEST
from trainers.files import replace_folder, write_text

AT_IOU = 0  # of matching.IOU_THRESHOLDS
IOU = float(matching.IOU_THRESHOLDS[AT_IOU])
SCORES = np.arange(1, 100) / 100
NOTHING_RIGHT = 0.5  # the threshold of a detector without a right detection
DIGITS = 4  # of the values in threshold.json


@dataclass(frozen=True)
class Curve:
    """Values at each of SCORES, if detections with at least that score are kept.

    boxes: true boxes that count. precision: (99,) float, NaN where no detection is left. recall, f1: (99,) float, NaN
    without true boxes.
    """

    boxes: int
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        values = {
            name: [None if np.isnan(value) else round(float(value), DIGITS) for value in getattr(self, name)]
            for name in ("precision", "recall", "f1")
        }
        return {"boxes": self.boxes, **values}


@dataclass(frozen=True)
class Condition:
    """What a threshold is chosen for: the best F1, or the least precision or recall that is wanted.

    measure: "f1", "precision" or "recall". least: None for the largest value.
    """

    measure: str
    least: float | None = None

    def __str__(self) -> str:
        return self.measure if self.least is None else f"{self.measure}>={self.least:g}"


F1 = Condition("f1")


def parse(text: str) -> Condition:
    """The condition "f1", "precision>=.9" or "recall>=.8". Raises UserError for any other text."""
    found = re.fullmatch(r"(precision|recall)\s*>=\s*(\d*\.?\d+)", text.strip())
    if found and 0 < float(found[2]) <= 1:
        return Condition(found[1], float(found[2]))
    if text.strip() == F1.measure:
        return F1
    raise UserError(
        f"--threshold-for '{text}': is not a condition; give f1, 'precision>=.9' or 'recall>=.8', in quotes, with a "
        "number above 0 and at most 1"
    )


def curves(images: Sequence[ImageResult], classes: int) -> tuple[Curve, list[Curve]]:
    """The curve over all detections, and that of each class."""
    matches = matching.match(images, classes)
    right = np.array([_at_each_score(each, each.right[AT_IOU]) for each in matches])
    found = np.array([_at_each_score(each, _counted(each)) for each in matches])
    boxes = np.array([int(each.to_find.sum()) for each in matches])
    by_class = [_curve(*each) for each in zip(boxes, right, found, strict=True)]
    return _curve(int(boxes.sum()), right.sum(axis=0), found.sum(axis=0)), by_class


def _counted(matches: ClassMatches) -> np.ndarray:
    return np.setdiff1d(np.arange(len(matches.scores)), matches.ignored[AT_IOU])


def _at_each_score(matches: ClassMatches, which: np.ndarray) -> np.ndarray:
    """(99,) int: how many of these detections have at least each of SCORES, as floats of their own precision."""
    scores = np.sort(matches.scores[which])
    kept: np.ndarray = len(scores) - np.searchsorted(scores, SCORES.astype(scores.dtype))
    return kept


def _curve(boxes: int, right: np.ndarray, found: np.ndarray) -> Curve:
    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        shares: np.ndarray = np.divide(part, whole, out=np.full(len(SCORES), np.nan), where=whole > 0)
        return shares

    counted = np.full(len(SCORES), boxes)
    both = np.where(counted > 0, found + counted, 0)
    return Curve(int(boxes), share(right, found), share(right, counted), share(2.0 * right, both))


def choose(curve: Curve, condition: Condition) -> float:
    """The score of a condition.

    "f1": the largest F1. "precision>=P": of the scores whose precision is at least P, the one with the largest recall.
    "recall>=R": of those whose recall is at least R, the one with the largest precision. Of several, the lowest score
    for precision and F1, the highest for recall; NOTHING_RIGHT for F1 if no detection is right.
    Raises UserError, with the nearest, if no score meets it.
    """
    if condition.least is None:
        f1 = np.nan_to_num(curve.f1)
        return float(SCORES[np.argmax(f1)]) if f1.any() else NOTHING_RIGHT
    wanted = np.nan_to_num(getattr(curve, condition.measure))
    meets = wanted >= condition.least
    if not meets.any():
        best = int(np.argmax(wanted))
        raise UserError(
            f"--threshold-for '{condition}': no score reaches it on the validation images; the largest "
            f"{condition.measure} is {wanted[best]:.3f}, at score {SCORES[best]:.2f}; ask for less"
        )
    if condition.measure == "recall":
        precision = np.where(meets, np.nan_to_num(curve.precision), -1)
        return float(SCORES[len(SCORES) - 1 - np.argmax(precision[::-1])])
    return float(SCORES[np.argmax(np.where(meets, curve.recall, -1))])


def best_f1(images: Sequence[ImageResult], classes: int) -> float:
    """The score with the best F1 over all classes."""
    return choose(curves(images, classes)[0], F1)


def write(folder: Path, images: Sequence[ImageResult], classes: Sequence[str]) -> float:
    """Write `threshold.json` into the folder of a new export; returns the score with the best F1."""
    overall, by_class = curves(images, len(classes))
    score = choose(overall, F1)
    content = {
        "threshold": score,
        "for": str(F1),
        "images": len(images),
        "iou": IOU,
        "scores": [float(each) for each in SCORES],
        "overall": overall.to_dict(),
        "classes": {name: each.to_dict() for name, each in zip(classes, by_class, strict=True)},
    }
    _write(folder, content)
    return score


def change(folder: Path, condition: Condition) -> None:
    """Give an export the threshold of a condition, by its curve, in place of settings of tuning.postprocess; atomic.

    Its export_id changes with its threshold.

    Raises UserError if no score meets the condition, or the export is of a version that kept no curve.
    """
    export = exports.read(folder)
    content = read(folder)
    if content is None:
        raise UserError(f"{folder}: has no {THRESHOLD}; delete it to export again")
    overall = content["overall"]
    arrays = (np.array(overall[name], float) for name in ("precision", "recall", "f1"))
    score = choose(Curve(overall["boxes"], *arrays), condition)
    unchanged = (score, str(condition)) == (content["threshold"], content["for"])
    if unchanged and export.postprocessing is None:
        return
    with replace_folder(folder) as new:
        left = shutil.ignore_patterns(MANIFEST, POSTPROCESSING)  # its thresholds would come first
        shutil.copytree(folder, new, dirs_exist_ok=True, ignore=left)
        _write(new, {**content, "threshold": score, "for": str(condition)})
        about = {name: value for name, value in export.manifest.items() if name not in ("format", "files")}
        exports.seal(new, export.classes, export.framing, score, about)


def read(folder: Path) -> dict[str, Any] | None:
    """The content of an export's `threshold.json`; None if the export is of a version that wrote none."""
    path = folder / THRESHOLD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def says(folder: Path) -> str | None:
    """The threshold, what it was chosen for, and what it gives, in a few words; None without `threshold.json`."""
    content = read(folder)
    if content is None:
        return None
    at = content["scores"].index(content["threshold"])
    values = ", ".join(
        f"{name} {content['overall'][name][at]:.3f}"
        for name in ("precision", "recall")
        if content["overall"][name][at] is not None
    )
    return (
        f"score threshold {content['threshold']:.2f} for {content['for']}"
        + (f": {values}" if values else "")
        + f" on {content['images']} validation images"
    )


def _write(folder: Path, content: dict[str, Any]) -> None:
    write_text(folder / THRESHOLD, json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n")
