"""Validation images with ground truth and the detections of several trials side by side, for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from trainers.datasets.dataset import Dataset
from trainers.detection.coco_metrics import ImageResult
from trainers.detection.pictures.contact_sheet import annotated, images_of, spread
from trainers.detection.threshold import best_f1
from trainers.evidence import Example

IMAGES = 6
WIDTH, QUALITY = 480, 80  # pixels, JPEG quality
NAMES = ("blue", "orange", "green", "red", "pink", "light blue", "yellow", "black")  # names of COLOURS


def side_by_side(
    trials: Mapping[str, Sequence[ImageResult]], dataset: Dataset
) -> tuple[str, list[list[Example]]]:
    """A sentence of explanation, and a row of pictures per image: the ground truth, then each trial's detections."""
    first = next(iter(trials.values()))
    labelled = [place for place, each in enumerate(first) if len(each.true_classes)]
    chosen = [labelled[place] for place in spread(len(labelled), IMAGES)] if labelled else []
    thresholds = {name: best_f1(results, len(dataset.classes)) for name, results in trials.items()}
    by_trial = (
        {name: images_of(results, dataset, chosen) for name, results in trials.items()} if chosen else {}
    )
    rows = []
    for i, place in enumerate(chosen):
        image, result = next(iter(by_trial.values()))[i]
        row = [_picture(image, result, f"image {place + 1}, ground truth", None)]
        for name, images in by_trial.items():
            caption = f"{name}, scores from {thresholds[name]:.2f}"
            row.append(_picture(*images[i], caption, thresholds[name]))
        rows.append(row)
    colours = ", ".join(f"{name} {colour}" for name, colour in zip(dataset.classes, NAMES, strict=False))
    text = f"{len(chosen)} validation images, evenly spaced among those with labels. Box colours: {colours}."
    return text, rows


def _picture(image: np.ndarray, result: ImageResult, caption: str, threshold: float | None) -> Example:
    if threshold is None:
        drawn = annotated(image, result.true_boxes, result.true_classes, None)
    else:
        kept = result.scores >= threshold
        drawn = annotated(image, result.boxes[kept], result.classes[kept], result.scores[kept])
    size = (WIDTH, round(WIDTH * drawn.shape[0] / drawn.shape[1]))
    small = cv2.resize(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    return Example(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes(), caption)
