"""Samples: a few labelled validation images in an export, with the export's detections.

With them, a serving backend verifies on its own machine that its detections are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.detection.coco_metrics import ImageResult, evaluate


@dataclass(frozen=True)
class DetectionArrays:
    """Detections of one image, best first.

    boxes: (D, 4) float32 [ymin, xmin, ymax, xmax] normalised. scores: (D,) float32. classes: (D,) int, from 1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def above(self, threshold: float) -> DetectionArrays:
        """The detections with at least this score."""
        keep = self.scores >= threshold
        return DetectionArrays(self.boxes[keep], self.scores[keep], self.classes[keep])


@dataclass(frozen=True)
class Samples:
    """N square images at the detector's input size.

    images: (N, S, S, 3) uint8 RGB. true_boxes: for each image (G, 4) float [ymin, xmin, ymax, xmax] normalised.
    true_classes: for each image (G,) int, from 1. found: the detections in each image.
    """

    images: np.ndarray
    true_boxes: Sequence[np.ndarray]
    true_classes: Sequence[np.ndarray]
    found: Sequence[DetectionArrays]

    def mean_ap(self, found: Sequence[DetectionArrays], classes: tuple[str, ...]) -> float:
        """mAP of detections in these images; -1 if they have no labels."""
        return mean_ap(self.images.shape[1], self.true_boxes, self.true_classes, found, classes)

    def save(self, path: Path) -> None:
        """Write an .npz file without pickles."""
        columns = {
            "true_boxes": self.true_boxes,
            "true_classes": self.true_classes,
            "boxes": [each.boxes for each in self.found],
            "scores": [each.scores for each in self.found],
            "classes": [each.classes for each in self.found],
        }
        arrays = {f"{name}_{i}": array for name, rows in columns.items() for i, array in enumerate(rows)}
        np.savez_compressed(path, allow_pickle=False, images=self.images, **arrays)


def mean_ap(
    size: int,
    true_boxes: Sequence[np.ndarray],
    true_classes: Sequence[np.ndarray],
    found: Sequence[DetectionArrays],
    classes: tuple[str, ...],
) -> float:
    """mAP of detections in square images of `size` pixels, with boxes as in Samples; -1 without labels."""
    results = [
        ImageResult(
            height=size,
            width=size,
            true_boxes=boxes * size,
            true_classes=labels - 1,
            crowd=np.zeros(len(labels), bool),
            boxes=each.boxes * size,
            classes=each.classes - 1,
            scores=each.scores,
        )
        for boxes, labels, each in zip(true_boxes, true_classes, found, strict=True)
    ]
    return evaluate(results, classes)["mAP"]


def load(path: Path) -> Samples:
    """Read the file that `Samples.save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        images = file["images"]

        def rows(name: str) -> list[np.ndarray]:
            return [file[f"{name}_{i}"] for i in range(len(images))]

        columns = zip(rows("boxes"), rows("scores"), rows("classes"), strict=True)
        return Samples(
            images, rows("true_boxes"), rows("true_classes"), [DetectionArrays(*each) for each in columns]
        )


@dataclass(frozen=True)
class Difference:
    """The difference between two sets of detections in the same images.

    unmatched: share of the detections above the score floor, in either set, without a match: same class, IoU of at
        least .5, nearest in IoU and score.
    score: largest score difference of matches, 0 if there are none. iou: their smallest IoU, 1 if there are none.
    """

    unmatched: float
    score: float
    iou: float

    def within(self, score: float = 0.02, iou: float = 0.95, unmatched: float = 0.02) -> bool:
        """Whether the difference is small enough for serving either one."""
        return self.score <= score and self.iou >= iou and self.unmatched <= unmatched


def difference(
    ours: Sequence[DetectionArrays], theirs: Sequence[DetectionArrays], floor: float = 0.1
) -> Difference:
    """Compare detections with scores of at least `floor`, image by image.

    Matches may have scores below the floor. A detection that non-maximum suppression has replaced by a neighbour with
    nearly the same score counts as unmatched.
    """
    lone = total = 0
    scores, ious = [0.0], [1.0]
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in ((mine.above(floor), other), (other.above(floor), mine)):
            total += len(a.scores)
            for i in range(len(a.scores)):
                overlap = iou_matrix(a.boxes[i : i + 1], b.boxes)[0]
                candidates = np.flatnonzero((b.classes == a.classes[i]) & (overlap >= 0.5))
                if not len(candidates):
                    lone += 1
                    continue
                nearest = candidates[
                    np.argmax(overlap[candidates] - np.abs(b.scores[candidates] - a.scores[i]))
                ]
                scores.append(float(abs(b.scores[nearest] - a.scores[i])))
                ious.append(float(overlap[nearest]))
    return Difference(lone / max(total, 1), max(scores), min(ious))


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, 4) and (B, 4) boxes -> (A, B) intersection over union; 0 for boxes without area."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    result: np.ndarray = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return result
