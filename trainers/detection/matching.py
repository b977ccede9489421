"""Matching: which detection finds which true box, by COCO's rules, once for all the resamples of the images.

pycocotools' `evaluateImg` and `accumulate` over the whole range of areas, with at most 100 detections of a class in
an image. faster-coco-eval does the same but keeps the matches to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainers.detection.coco_metrics import ImageResult

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100  # of a class in an image


@dataclass(frozen=True)
class ClassMatches:
    """One class's D detections in all N images, best first.

    image: (D,) int, which image each is in. to_find: (N,) int, true boxes in each image, without crowds.
    right: for each IoU threshold the places (rising, in 0..D-1) of the detections that find a true box.
    ignored: likewise of those that lie in a crowd and count neither way.
    """

    image: np.ndarray
    to_find: np.ndarray
    right: tuple[np.ndarray, ...]
    ignored: tuple[np.ndarray, ...]


def match(images: Sequence[ImageResult], classes: int) -> list[ClassMatches]:
    """The matches of each of so many classes."""
    return [_match_class(images, label) for label in range(classes)]


def average_precision(matches: Sequence[ClassMatches], counts: np.ndarray) -> np.ndarray:
    """AP when image i is taken `counts[b, i]` times: (B, N) int -> (B, thresholds, classes), NaN where nothing is true.

    Exactly what COCO's evaluation says of the images so repeated, but for the order of equal scores.
    """
    found = np.full((len(counts), len(IOU_THRESHOLDS), len(matches)), np.nan)
    for label, each in enumerate(matches):
        total = counts @ each.to_find
        rows = max(1, 4_000_000 // max(len(each.image), 1))
        for start in range(0, len(counts), rows):
            part = slice(start, start + rows)
            found[part, :, label] = _average_precision(each, counts[part], total[part])
    return found


def mean(precision: np.ndarray) -> np.ndarray:
    """(B, thresholds, classes) of average_precision -> (B,) mAP; -1 where nothing is true, as in COCO."""
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
        # recall changes, and precision peaks, only where a detection is right
        precision = hits / np.maximum(tried, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        # one search for all rows: each row's hits, which rise, are lifted above those of the row before
        at = np.searchsorted((hits + lifts).ravel(), (needed + lifts).ravel()).reshape(needed.shape)
        at -= np.arange(len(counts))[:, None] * len(right)
        reached = at < len(right)
        values[:, t] = np.where(reached, np.take_along_axis(precision, np.where(reached, at, 0), 1), 0).mean(
            axis=1
        )
    values[total == 0] = np.nan
    return values


def _hits_for_recalls(total: np.ndarray) -> np.ndarray:
    """(B,) true boxes -> (B, 101) int: the fewest right detections whose recall, as a float, reaches each of RECALLS."""
    boxes = np.maximum(total, 1)[:, None]
    hits = np.ceil(RECALLS * boxes - 1e-6)
    hits += hits / boxes < RECALLS
    whole: np.ndarray = hits.astype(int)
    return whole


def _match_class(images: Sequence[ImageResult], label: int) -> ClassMatches:
    scores, owners, outcomes = [], [], []
    to_find = np.zeros(len(images), int)
    for i, image in enumerate(images):
        mine = np.flatnonzero(image.classes == label)
        mine = mine[np.argsort(-image.scores[mine], kind="stable")][:MOST_DETECTIONS]
        true = np.flatnonzero(image.true_classes == label)
        true = true[np.argsort(image.crowd[true], kind="stable")]  # crowds last
        crowd = image.crowd[true].astype(bool)
        to_find[i] = np.count_nonzero(~crowd)
        scores.append(image.scores[mine])
        owners.append(np.full(len(mine), i))
        outcomes.append(_outcomes(_overlaps(image.boxes[mine], image.true_boxes[true], crowd), crowd))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    outcome = np.concatenate(outcomes)[order]
    return ClassMatches(
        np.concatenate(owners)[order],
        to_find,
        tuple(np.flatnonzero(column == 1) for column in outcome.T),
        tuple(np.flatnonzero(column == 2) for column in outcome.T),
    )


def _outcomes(overlaps: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(D, G) IoU, best detection first, crowds last -> (D, thresholds): 0 wrong, 1 right, 2 in a crowd."""
    outcome = np.zeros((len(overlaps), len(IOU_THRESHOLDS)), np.int8)
    if not overlaps.size:
        return outcome
    taken = np.zeros((len(IOU_THRESHOLDS), len(crowd)), bool)
    for d in np.flatnonzero(overlaps.max(axis=1) >= IOU_THRESHOLDS[0]):
        enough = (overlaps[d] >= IOU_THRESHOLDS[:, None]) & ~taken
        for kind, allowed in ((1, enough & ~crowd), (2, enough & crowd)):
            possible = allowed.any(axis=1) & (outcome[d] == 0)
            # of equal overlaps COCO takes the last
            best = overlaps.shape[1] - 1 - np.argmax(np.where(allowed, overlaps[d], -1)[:, ::-1], axis=1)
            outcome[d, possible] = kind
            if kind == 1:
                taken[possible, best[possible]] = True
    return outcome


def _overlaps(boxes: np.ndarray, true_boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(D, 4) and (G, 4) [ymin, xmin, ymax, xmax] -> (D, G) IoU; in a crowd, the share of the detection inside it."""
    a, b = boxes.astype(float)[:, None], true_boxes.astype(float)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.prod(np.clip(sides, 0, None), axis=2)
    areas_a, areas_b = (np.prod(each[..., 2:] - each[..., :2], axis=2) for each in (a, b))
    union = np.where(crowd, areas_a, areas_a + areas_b - inside)
    result: np.ndarray = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return result
