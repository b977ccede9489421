"""Charts of a detector's results: precision-recall curves of the classes, and a confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import supervision as sv
from matplotlib.figure import Figure

from trainers.detection import coco_metrics
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.samples import iou_matrix
from trainers.drawing.chart_style import chart, colour, plain

SHOWN_CLASSES = 8  # classes with a curve: the first ones
NAMED_CLASSES = 30  # a matrix with more classes has no labels
IOU = 0.5


def precision_recall(
    results: Sequence[ImageResult], classes: tuple[str, ...], title: str, path: Path
) -> None:
    """Precision-recall curves of the classes at an IoU of .5."""
    figure, axes = chart(title, f"precision at IoU {IOU}", "recall")
    curves = coco_metrics.precision_by_recall(results, classes, IOU)
    for i, (name, curve) in enumerate(list(curves.items())[:SHOWN_CLASSES]):
        label = f"{plain(name)}  {curve.mean():.3f}"
        axes.plot(coco_metrics.RECALLS, curve, color=colour(i), label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    if curves:
        axes.legend(title="AP50")
    figure.savefig(path)


def confusion(
    results: Sequence[ImageResult], classes: tuple[str, ...], threshold: float, title: str, path: Path
) -> None:
    """The confusion matrix, with missed objects and false alarms."""
    matrix = confusion_matrix(results, classes, threshold)
    count = len(matrix)
    figure = Figure(figsize=(min(16, 4 + 0.6 * count), min(14, 3 + 0.5 * count)), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= NAMED_CLASSES:
        names = [plain(name) for name in classes]
        axes.set_xticks(range(count), [*names, "missed"], rotation=45, ha="right")
        axes.set_yticks(range(count), [*names, "background"])
        for row, column in np.argwhere(matrix > 0):
            shade = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=shade)
    axes.set_xlabel("detected as")
    axes.set_ylabel("labelled as")
    axes.set_title(f"{plain(title)}\nscores from {threshold:.2f}, IoU from {IOU}", fontsize=10)
    figure.savefig(path)


def confusion_matrix(
    results: Sequence[ImageResult], classes: tuple[str, ...], threshold: float
) -> np.ndarray:
    """(C + 1, C + 1) int: rows are labels, columns detections; the last row are false alarms, the last column misses."""
    true, found = [], []
    for each in results:
        counted = each.counted
        # detections in crowds, and of objects to ignore, are neither required nor wrong
        seen = _outside(each.boxes, each.true_boxes[each.crowd]) & ~_of_ignored(each)
        true.append(_sv(each.true_boxes[counted], each.true_classes[counted], np.ones(int(counted.sum()))))
        found.append(_sv(each.boxes[seen], each.classes[seen], each.scores[seen]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = sv.ConfusionMatrix.from_detections(
            predictions=found,
            targets=true,
            classes=list(classes),
            conf_threshold=threshold,
            iou_threshold=IOU,
        )
    return np.asarray(matrix.matrix).astype(int)


def _of_ignored(result: ImageResult) -> np.ndarray:
    """(D,) bool: the detection is of an object to ignore, and overlaps with no object that counts as much."""
    same = result.classes[:, None] == result.true_classes[None]
    overlap = np.where(same, iou_matrix(result.boxes, result.true_boxes), 0)
    ignored = ~result.counted & ~result.crowd.astype(bool)
    best = [overlap[:, chosen].max(axis=1, initial=0) for chosen in (ignored, result.counted)]
    of_ignored: np.ndarray = (best[0] >= IOU) & (best[1] < IOU)
    return of_ignored


def _outside(boxes: np.ndarray, crowds: np.ndarray) -> np.ndarray:
    """(D,) bool: less than half of the box lies in any of the crowds."""
    top_left = np.maximum(boxes[:, None, :2], crowds[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], crowds[None, :, 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    own = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 1e-9, None), axis=1)
    inside: np.ndarray = (shared / own[:, None] >= 0.5).any(axis=1)
    return ~inside


def _sv(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> sv.Detections:
    return sv.Detections(
        xyxy=boxes[:, [1, 0, 3, 2]].astype(float).reshape(-1, 4),
        class_id=labels.astype(int),
        confidence=scores.astype(float),
    )
