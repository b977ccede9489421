"""Likely label errors: what several trained detectors agree on, against the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainers.detection.coco_metrics import ImageResult
from trainers.detection.matching import overlaps
from trainers.detection.threshold import best_f1

SAME = 0.5  # IoU from which two boxes are of one object
APART = 0.1  # IoU below which a detection is of no labelled object


@dataclass(frozen=True)
class Disagreement:
    """One box on which all trials disagree with the label.

    image: position in the validation part. kind: "no box" (all find an object where none is labelled), "another class"
        (all find a labelled object, as another class) or "not found" (none finds it).
    label: class of the label, from 0; None for "no box". found: class that the trials found; None for "not found".
    box: (4,) float [ymin, xmin, ymax, xmax] in pixels: the label's, or for "no box" the best trial's.
    certainty: 0 to 1: the lowest of the trials' scores; for "not found", the share of the class's other objects that
        they find.
    """

    image: int
    kind: str
    label: int | None
    found: int | None
    box: np.ndarray
    certainty: float


def disagreements(trials: Sequence[Sequence[ImageResult]], classes: int) -> list[Disagreement]:
    """All of them, the most certain of each kind first, in the order of the kinds above.

    trials: the results of each on the same images, the best trial first. A detection counts from the score with the
    trial's best F1. Crowds, and objects to ignore, are no errors.
    """
    thresholds = [best_f1(results, classes) for results in trials]
    found: list[Disagreement] = []
    for place, results in enumerate(zip(*trials, strict=True)):
        kept = [_above(result, score) for result, score in zip(results, thresholds, strict=True)]
        found += _without_label(place, results[0], kept)
        found += _labelled(place, results[0], kept)
    seen = _share_found(found, trials[0], classes)
    rated = [
        Disagreement(**(vars(each) | {"certainty": seen[each.label]}))
        if each.kind == "not found" and each.label is not None
        else each
        for each in found
    ]
    kinds = ("no box", "another class", "not found")
    return sorted(rated, key=lambda each: (kinds.index(each.kind), -each.certainty))


@dataclass(frozen=True)
class _Kept:
    """The detections of an image that count."""

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def _above(result: ImageResult, score: float) -> _Kept:
    keep = result.scores >= score
    return _Kept(result.boxes[keep], result.classes[keep], result.scores[keep])


def _without_label(place: int, image: ImageResult, kept: Sequence[_Kept]) -> list[Disagreement]:
    first, *others = kept
    labelled = overlaps(first.boxes, image.true_boxes, image.crowd.astype(bool)).max(axis=1, initial=0.0)
    found: list[Disagreement] = []
    for at in np.flatnonzero(labelled < APART):
        agreed = [_score_there(each, first.boxes[at], int(first.classes[at])) for each in others]
        if all(score > 0 for score in agreed):
            certainty = min([float(first.scores[at]), *agreed])
            found.append(
                Disagreement(place, "no box", None, int(first.classes[at]), first.boxes[at], certainty)
            )
    return found


def _labelled(place: int, image: ImageResult, kept: Sequence[_Kept]) -> list[Disagreement]:
    found = []
    for at in np.flatnonzero(image.counted):
        box, label = image.true_boxes[at], int(image.true_classes[at])
        best = [_best_there(each, box) for each in kept]
        if all(there is None for there in best):
            found.append(Disagreement(place, "not found", label, None, box, 0.0))
            continue
        named = {there[0] for there in best if there is not None}
        if None not in best and len(named) == 1 and label not in named:
            if any(_score_there(each, box, label) for each in kept):  # another box says what the label says
                continue
            certainty = min(there[1] for there in best if there is not None)
            found.append(Disagreement(place, "another class", label, named.pop(), box, certainty))
    return found


def _best_there(kept: _Kept, box: np.ndarray) -> tuple[int, float] | None:
    """Class and score of the surest detection of the object in `box`."""
    there = _same(kept, box)
    if not there.any():
        return None
    at = int(np.argmax(np.where(there, kept.scores, -1.0)))
    return int(kept.classes[at]), float(kept.scores[at])


def _score_there(kept: _Kept, box: np.ndarray, label: int) -> float:
    """The highest score of that class for the object in `box`; 0 without a detection."""
    there = _same(kept, box) & (kept.classes == label)
    return float(kept.scores[there].max(initial=0.0))


def _same(kept: _Kept, box: np.ndarray) -> np.ndarray:
    same: np.ndarray = overlaps(kept.boxes, box[None], np.zeros(1, bool))[:, 0] >= SAME
    return same


def _share_found(
    found: Sequence[Disagreement], images: Sequence[ImageResult], classes: int
) -> Mapping[int, float]:
    """Of each class, the share of its objects that some trial finds."""
    total, lost = np.zeros(classes), np.zeros(classes)
    for image in images:
        np.add.at(total, image.true_classes[image.counted], 1)
    for each in found:
        if each.kind == "not found" and each.label is not None:
            lost[each.label] += 1
    return {label: float(1 - lost[label] / total[label]) if total[label] else 0.0 for label in range(classes)}
