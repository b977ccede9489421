"""Tunes the post-processing of a detector on its kept detections, and says what that gains on other images.

What is tuned is F1 over all classes at an IoU of .5, as for an export's score threshold. The gain is measured by
cross-validation: the images of each of FOLDS parts are judged with settings that were tuned on the other parts, beside
the one score threshold that is best on those. So no image is judged with settings that it had a part in.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainers.detection import matching
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.postprocessing import storing
from trainers.detection.postprocessing.settings import Postprocessing, best_first
from trainers.detection.threshold import AT_IOU, NOTHING_RIGHT, SCORES
from trainers.errors import UserError

IOUS = (None, 0.5, 0.4, 0.3)  # of suppression, beside the network's own
MOSTS = (None, 20, 10, 5, 2, 1)
FOLDS, RESAMPLES, SEED = 5, 2000, 0
FEWEST = 2 * FOLDS  # images


@dataclass(frozen=True)
class Tuned:
    """Settings that were tuned on all images, and what such settings gain on images that they were not tuned on.

    threshold: the best single one, on all images. before, after: F1 with such a threshold, and with such settings, in
    cross-validation. gain: `after` minus `before`, with its 95% bootstrap interval `low` to `high` over the images.
    """

    classes: tuple[str, ...]
    settings: Postprocessing
    threshold: float
    before: float
    after: float
    low: float
    high: float
    images: int

    @property
    def gain(self) -> float:
        """In F1."""
        return self.after - self.before

    @property
    def gained(self) -> bool:
        """Whether the gain is beyond chance."""
        return self.low > 0

    def lines(self) -> list[str]:
        """For people."""
        chosen = self.settings
        scores = ", ".join(f"{n} {t:.2f}" for n, t in zip(self.classes, chosen.thresholds, strict=True))
        iou = "the network's own" if chosen.iou is None else f"IoU {chosen.iou:g}"
        verdict = "" if self.gained else "; nothing gained beyond chance"
        return [
            f"score thresholds   {scores} (one for all classes: {self.threshold:.2f})",
            f"suppression        {iou}",
            f"most detections    {chosen.most or 'all'}",
            f"F1 at IoU .5       {self.before:.3f} -> {self.after:.3f} on images that the settings were not tuned on",
            f"gain               {self.gain:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f}, "
            f"{self.images} images){verdict}",
        ]

    def write(self, export: Path) -> None:
        """Give an export the settings."""
        evidence = {
            "before": self.before, "after": self.after, "low": self.low, "high": self.high, "images": self.images,
        }  # fmt: skip
        storing.store(export, self.settings, evidence)


@dataclass(frozen=True)
class _Counts:
    """Of N images at C classes and at each of SCORES: (N, C, 99) int, detections with at least that score.

    right: that match a true box. found: that count. boxes: (N,), true boxes that count.
    """

    right: np.ndarray
    found: np.ndarray
    boxes: np.ndarray


def tune(images: Sequence[ImageResult], classes: Sequence[str]) -> Tuned:
    """Tune on the results of all validation images.

    Raises UserError for fewer than FEWEST images, or without labelled objects.
    """
    if len(images) < FEWEST:
        raise UserError(
            f"there are detections in {len(images)} validation images, and at least {FEWEST} are needed"
        )
    counts = {(iou, most): _counts(images, len(classes), iou, most)
              for iou, most in itertools.product(IOUS, MOSTS)}  # fmt: skip
    plain = counts[None, None]
    if not plain.boxes.sum():
        raise UserError("the validation images have no labelled object, so there is nothing to tune on")
    part = np.random.default_rng(SEED).permutation(len(images)) % FOLDS
    before, after = (np.zeros((len(images), 2)) for _ in range(2))  # right and found of each image
    for fold in range(FOLDS):
        there, here = part != fold, np.flatnonzero(part == fold)
        before[here] = _at(plain, here, [_single(plain, there)] * len(classes))
        chosen, places = _best(counts, there)
        after[here] = _at(counts[chosen], here, places)
    times = np.random.default_rng(SEED).multinomial(
        len(images), np.full(len(images), 1 / len(images)), size=RESAMPLES
    )
    gains = _f1(after, plain.boxes, times) - _f1(before, plain.boxes, times)
    low, high = np.quantile(gains, [0.025, 0.975])
    once = np.ones((1, len(images)), int)
    everything = np.ones(len(images), bool)
    (iou, most), places = _best(counts, everything)
    return Tuned(
        classes=tuple(classes),
        settings=Postprocessing(tuple(float(SCORES[place]) for place in places), iou, most),
        threshold=float(SCORES[_single(plain, everything)]),
        before=float(_f1(before, plain.boxes, once)[0]),
        after=float(_f1(after, plain.boxes, once)[0]),
        low=float(low),
        high=float(high),
        images=len(images),
    )


def _counts(images: Sequence[ImageResult], classes: int, iou: float | None, most: int | None) -> _Counts:
    left = [_left(image, iou, most) for image in images] if (iou, most) != (None, None) else images
    matches = matching.match(left, classes)
    shape = (len(images), classes, len(SCORES))
    right, found, boxes = np.zeros(shape, int), np.zeros(shape, int), np.zeros(len(images), int)
    for label, each in enumerate(matches):
        boxes += each.to_find
        # how many of SCORES a detection passes; a score passes those up to it
        passes = np.searchsorted(SCORES.astype(each.scores.dtype), each.scores, side="right")
        counted = np.setdiff1d(np.arange(len(each.scores)), each.ignored[AT_IOU])
        for where, which in ((right, each.right[AT_IOU]), (found, counted)):
            at = np.zeros((len(images), len(SCORES) + 1), int)
            np.add.at(at, (each.image[which], passes[which]), 1)
            where[:, label] = at[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return _Counts(right, found, boxes)


def _left(image: ImageResult, iou: float | None, most: int | None) -> ImageResult:
    kept = best_first(image.boxes, image.classes, image.scores, iou, most)
    return replace(image, boxes=image.boxes[kept], classes=image.classes[kept], scores=image.scores[kept])


def _single(counts: _Counts, which: np.ndarray) -> int:
    """The place in SCORES of the best threshold for all classes on these images."""
    right, found = counts.right[which].sum(axis=(0, 1)), counts.found[which].sum(axis=(0, 1))
    f1 = 2 * right / np.maximum(1, found + counts.boxes[which].sum())
    return int(np.argmax(f1)) if right.any() else int(np.argmin(np.abs(SCORES - NOTHING_RIGHT)))


def _best(
    counts: dict[tuple[float | None, int | None], _Counts], which: np.ndarray
) -> tuple[tuple[float | None, int | None], list[int]]:
    """The suppression and the number of detections, and the place in SCORES of each class's threshold, of the best F1.

    Of equal ones the first, which changes less.
    """
    found = {key: _by_class(each, which) for key, each in counts.items()}
    best = max(found, key=lambda key: found[key][0])
    return best, found[best][1]


def _by_class(counts: _Counts, which: np.ndarray) -> tuple[float, list[int]]:
    """The largest F1 over all classes, and the places in SCORES of the thresholds with which it is reached.

    F1 is a ratio of sums over the classes, so that Dinkelbach's method finds its maximum (Management Science 13, 1967):
    for a ratio F each class takes the threshold with the largest 2 right - F found, which gives the next F.
    """
    right, found = counts.right[which].sum(axis=0), counts.found[which].sum(axis=0)  # (C, 99)
    boxes = counts.boxes[which].sum()
    rows = np.arange(len(right))

    def reached(places: np.ndarray) -> float:
        return float(2 * right[rows, places].sum() / max(1, found[rows, places].sum() + boxes))

    places = np.full(len(right), _single(counts, which))
    while True:
        merit = 2 * right - reached(places) * found
        better = (
            merit.max(axis=1) > merit[rows, places] + 1e-9
        )  # a class without evidence keeps its threshold
        following = np.where(better, merit.argmax(axis=1), places)
        if reached(following) <= reached(places):
            return reached(places), [int(place) for place in places]
        places = following


def _at(counts: _Counts, images: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """(len(images), 2): right and found of each image at these places in SCORES, one for each class."""
    rows = np.arange(len(places))
    return np.stack(
        [each[images][:, rows, places].sum(axis=1) for each in (counts.right, counts.found)], axis=1
    )


def _f1(of_images: np.ndarray, boxes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(N, 2) right and found, (N,) boxes, and (B, N) how often each image occurs -> (B,)."""
    right, found = (times @ of_images).T
    f1: np.ndarray = 2 * right / np.maximum(1, found + times @ boxes)
    return f1
