"""Matching of detections with true boxes by COCO's rules, done once for all resamples of the images.

It reimplements pycocotools' `evaluateImg` and `accumulate`, because faster-coco-eval does not expose the matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainers.detection.coco_metrics import ANY_AREA, ImageResult

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100  # of a class in an image


@dataclass(frozen=True)
class ClassMatches:
    """One class's D detections in all N images, best first.

    image: (D,) int, the image of each detection. to_find: (N,) int, the number of true boxes that count in each image.
    right: for each IoU threshold, the ascending indices of the detections that match a true box (true positives).
    ignored: likewise for detections that count as neither right nor wrong: in a crowd, of an object to ignore, or
        outside the range of areas.
    scores: (D,) float, of the detections.
    """

    image: np.ndarray
    to_find: np.ndarray
    right: tuple[np.ndarray, ...]
    ignored: tuple[np.ndarray, ...]
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))


def match(
    images: Sequence[ImageResult],
    classes: int,
    area: tuple[float, float] = ANY_AREA,
    most: int = MOST_DETECTIONS,
) -> list[ClassMatches]:
    """The matches of each class.

    classes: number of classes. area: range of areas of the boxes that count, square pixels. most: maximum number of
    detections of a class in an image.
    """
    return [_match_class(images, label, area, most) for label in range(classes)]


def average_precision(matches: Sequence[ClassMatches], counts: np.ndarray) -> np.ndarray:
    """AP when image i occurs `counts[b, i]` times: (B, N) int -> (B, thresholds, classes), NaN without true boxes.

    Equal to COCO's evaluation of the repeated images, except for the order of equal scores.
    """
    found = np.full((len(counts), len(IOU_THRESHOLDS), len(matches)), np.nan)
    for label, each in enumerate(matches):
        total = counts @ each.to_find
        rows = max(1, 4_000_000 // max(len(each.image), 1))
        for start in range(0, len(counts), rows):
            part = slice(start, start + rows)
            found[part, :, label] = _average_precision(each, counts[part], total[part])
    return found


def recall(matches: Sequence[ClassMatches], counts: np.ndarray) -> np.ndarray:
    """Recall when image i occurs `counts[b, i]` times; shapes as in average_precision."""
    found = np.full((len(counts), len(IOU_THRESHOLDS), len(matches)), np.nan)
    for label, each in enumerate(matches):
        total = counts @ each.to_find
        for t, right in enumerate(each.right):
            hits = np.take(counts, each.image[right], axis=1).sum(axis=1)
            found[:, t, label] = np.divide(hits, total, out=np.full(len(counts), np.nan), where=total > 0)
    return found


def mean(precision: np.ndarray) -> np.ndarray:
    """(B, thresholds, classes) of average_precision -> (B,) mAP; -1 without true boxes, as in COCO."""
    known = ~np.isnan(precision)
    number = known.sum(axis=(1, 2))
    return np.where(number > 0, np.where(known, precision, 0).sum(axis=(1, 2)) / np.maximum(number, 1), -1.0)


def mean_average_precision(matches: Sequence[ClassMatches], counts: np.ndarray) -> np.ndarray:
    """(B, N) counts of images -> (B,) mAP."""
    return mean(average_precision(matches, counts))


def _average_precision(matches: ClassMatches, counts: np.ndarray, total: np.ndarray) -> np.ndarray:
    times = np.take(counts, matches.image, axis=1)  # (B, D): how often each detection is there
    seen = np.cumsum(times, axis=1)
    needed = _hits_for_recalls(total)
    lifts = np.arange(len(counts))[:, None] * (total.max(initial=0) + 2)
    values = np.zeros((len(counts), len(IOU_THRESHOLDS)))
    for t, (right, ignored) in enumerate(zip(matches.right, matches.ignored, strict=True)):
        if not len(right):
            continue
        hits = np.cumsum(times[:, right], axis=1)
        tried = seen[:, right]
        if len(ignored):
            before = np.concatenate(
                [np.zeros((len(counts), 1), int), np.cumsum(times[:, ignored], axis=1)], axis=1
            )
            tried = tried - before[:, np.searchsorted(ignored, right)]
        # recall changes, and precision has its maxima, only at true positives
        precision = hits / np.maximum(tried, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        # one search for all rows: the ascending hits of each row are shifted above those of the row before
        at = np.searchsorted((hits + lifts).ravel(), (needed + lifts).ravel()).reshape(needed.shape)
        at -= np.arange(len(counts))[:, None] * len(right)
        reached = at < len(right)
        values[:, t] = np.where(reached, np.take_along_axis(precision, np.where(reached, at, 0), 1), 0).mean(
            axis=1
        )
    values[total == 0] = np.nan
    return values


def _hits_for_recalls(total: np.ndarray) -> np.ndarray:
    """(B,) true boxes -> (B, 101) int: the smallest numbers of true positives whose recall reaches each of RECALLS."""
    boxes = np.maximum(total, 1)[:, None]
    hits = np.ceil(RECALLS * boxes - 1e-6)
    hits += hits / boxes < RECALLS
    whole: np.ndarray = hits.astype(int)
    return whole


def _match_class(
    images: Sequence[ImageResult], label: int, area: tuple[float, float], most: int
) -> ClassMatches:
    scores, owners, outcomes = [], [], []
    to_find = np.zeros(len(images), int)
    for i, image in enumerate(images):
        mine = np.flatnonzero(image.classes == label)
        mine = mine[np.argsort(-image.scores[mine], kind="stable")][:most]
        true = np.flatnonzero(image.true_classes == label)
        ignored = image.crowd[true].astype(bool) | _outside(image.true_areas[true], area)
        true, ignored = (each[np.argsort(ignored, kind="stable")] for each in (true, ignored))  # those last
        crowd = image.crowd[true].astype(bool)
        to_find[i] = np.count_nonzero(~ignored)
        scores.append(image.scores[mine])
        owners.append(np.full(len(mine), i))
        outcome = _outcomes(overlaps(image.boxes[mine], image.true_boxes[true], crowd), crowd, ignored)
        outcome[(outcome == 0) & _outside(_areas(image.boxes[mine]), area)[:, None]] = 2
        outcomes.append(outcome)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    in_order = np.concatenate(outcomes)[order]
    return ClassMatches(
        np.concatenate(owners)[order],
        to_find,
        tuple(np.flatnonzero(column == 1) for column in in_order.T),
        tuple(np.flatnonzero(column == 2) for column in in_order.T),
        np.concatenate(scores)[order],
    )


def _outside(areas: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(N,) bool: whether an area is outside the range."""
    outside: np.ndarray = (areas < limits[0]) | (areas > limits[1])
    return outside


def _areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = np.prod(boxes[:, 2:].astype(float) - boxes[:, :2], axis=1)
    return areas


def _outcomes(overlaps: np.ndarray, crowd: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """(D, G) IoU, best detection first, ignored truth last -> (D, thresholds): 0 wrong, 1 right, 2 neither."""
    outcome = np.zeros((len(overlaps), len(IOU_THRESHOLDS)), np.int8)
    if not overlaps.size:
        return outcome
    taken = np.zeros((len(IOU_THRESHOLDS), len(crowd)), bool)
    for d in np.flatnonzero(overlaps.max(axis=1) >= IOU_THRESHOLDS[0]):
        enough = (overlaps[d] >= IOU_THRESHOLDS[:, None]) & ~taken
        for kind, allowed in ((1, enough & ~ignored), (2, enough & ignored)):
            possible = allowed.any(axis=1) & (outcome[d] == 0)
            # of equal overlaps, COCO takes the last one
            best = overlaps.shape[1] - 1 - np.argmax(np.where(allowed, overlaps[d], -1)[:, ::-1], axis=1)
            outcome[d, possible] = kind
            once = possible & ~crowd[best]  # a crowd matches any number of detections
            taken[once, best[once]] = True
    return outcome


def overlaps(boxes: np.ndarray, true_boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(D, 4) and (G, 4) [ymin, xmin, ymax, xmax] -> (D, G) IoU; for crowds, the share of the detection inside."""
    a, b = boxes.astype(float)[:, None], true_boxes.astype(float)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.prod(np.clip(sides, 0, None), axis=2)
    areas_a, areas_b = (np.prod(each[..., 2:] - each[..., :2], axis=2) for each in (a, b))
    union = np.where(crowd, areas_a, areas_a + areas_b - inside)
    result: np.ndarray = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return result
