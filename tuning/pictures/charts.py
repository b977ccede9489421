"""Charts of a trial: its losses, its mAP, precision against recall of each class, and which class it takes for which."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import supervision as sv
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainers.detection import coco_metrics
from trainers.detection.coco_metrics import ImageResult
from tuning.pictures.trial import DrawnTrial

# Okabe and Ito's colours, which people with colour blindness tell apart (jfly.uni-koeln.de/color)
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#000000")
SHOWN_CLASSES = 8  # the first of them have a line of their own
NAMED_CLASSES = 30  # of a matrix that can still be read
IOU = 0.5


def losses(trial: DrawnTrial, path: Path) -> None:
    """Training and validation loss by step, on one chart."""
    figure, axes = _chart(trial, "loss")
    steps, values = trial.training
    axes.plot(steps, values, color=COLOURS[5], linewidth=1, label="training")
    found = [(rung.step, rung.metrics.get("validation_loss/total", math.nan)) for rung in trial.rungs]
    axes.plot(*zip(*found, strict=True), color=COLOURS[3], marker="o", label="validation")
    if len(values) and values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.legend()
    figure.savefig(path)


def mean_ap(trial: DrawnTrial, path: Path) -> None:
    """mAP, mAP50 and the AP of each class at each rung."""
    figure, axes = _chart(trial, "average precision")
    steps = [rung.step for rung in trial.rungs]
    for i, name in enumerate(trial.classes[:SHOWN_CLASSES]):
        values = [_measured(rung.metrics.get(f"AP/{name}")) for rung in trial.rungs]
        axes.plot(steps, values, color=_colour(i), linewidth=1, marker=".", label=plain(name))
    axes.plot(steps, [rung.mAP for rung in trial.rungs], "k-o", linewidth=2, label="mAP")
    mAP50 = [_measured(rung.metrics.get("mAP50")) for rung in trial.rungs]
    axes.plot(steps, mAP50, "k--", linewidth=1, label="mAP50")
    axes.set_ylim(0, 1)
    axes.legend()
    figure.savefig(path)


def precision_recall(trial: DrawnTrial, path: Path) -> None:
    """Precision against recall of each class, at an IoU of .5."""
    figure, axes = _chart(trial, f"precision at IoU {IOU}", "recall")
    curves = coco_metrics.precision_by_recall(trial.results, trial.classes, IOU)
    for i, (name, curve) in enumerate(list(curves.items())[:SHOWN_CLASSES]):
        label = f"{plain(name)}  {curve.mean():.3f}"
        axes.plot(coco_metrics.RECALLS, curve, color=_colour(i), label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    if curves:
        axes.legend(title="AP50")
    figure.savefig(path)


def confusion(trial: DrawnTrial, path: Path) -> None:
    """How often each class is found as which, is missed, or is found where nothing is."""
    matrix = confusion_matrix(trial.results, trial.classes, trial.threshold)
    count = len(matrix)
    figure = Figure(figsize=(min(16, 4 + 0.6 * count), min(14, 3 + 0.5 * count)), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= NAMED_CLASSES:
        names = [plain(name) for name in trial.classes]
        axes.set_xticks(range(count), [*names, "missed"], rotation=45, ha="right")
        axes.set_yticks(range(count), [*names, "nothing there"])
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour)
    axes.set_xlabel("found as")
    axes.set_ylabel("labelled as")
    axes.set_title(f"{plain(trial.title)}\nscores from {trial.threshold:.2f}, IoU from {IOU}", fontsize=10)
    figure.savefig(path)


def confusion_matrix(results: list[ImageResult], classes: tuple[str, ...], threshold: float) -> np.ndarray:
    """(C + 1, C + 1) int: rows are labels, columns what was found; the last row false alarms, the last column misses."""
    true, found = [], []
    for each in results:
        counted = ~each.crowd
        seen = _outside(
            each.boxes, each.true_boxes[each.crowd]
        )  # a crowd is neither to be found nor a mistake
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


def plain(text: str) -> str:
    """Text as matplotlib writes it, without formulas."""
    return text.replace("$", r"\$")


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _measured(value: float | None) -> float:
    return math.nan if value is None or value < 0 else value


def _chart(trial: DrawnTrial, y: str, x: str = "step") -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plain(trial.title), fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


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
