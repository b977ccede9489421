"""Contact sheet: validation images with ground truth on the left and the trial's detections on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trainers.datasets.dataset import Dataset
from trainers.datasets.records.reading import read_images
from trainers.detection.coco_metrics import ImageResult
from trainers.drawing.chart_style import COLOURS, plain

IMAGES = 8  # evenly spaced validation images
SIDE = 640  # the longer side of an image when boxes and scores are drawn, pixels
COLUMNS = 2  # pairs of pictures per row


def draw(results: Sequence[ImageResult], dataset: Dataset, threshold: float, title: str, path: Path) -> None:
    """Write the sheet. threshold: the smallest score that is shown."""
    chosen = spread(len(results), IMAGES)
    images = images_of(results, dataset, chosen)
    rows = -(-len(images) // COLUMNS)
    tallest = max(image.shape[0] / image.shape[1] for image, _ in images)
    figure = Figure(
        figsize=(5 * COLUMNS, 2.5 * tallest * rows + 0.3 * rows + 0.8), layout="constrained", dpi=150
    )
    grid = figure.subplots(rows, 2 * COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    pairs = zip(grid[::2], grid[1::2], strict=True)
    for (image, result), (left, right) in zip(images, pairs, strict=False):
        left.imshow(annotated(image, result.true_boxes, result.true_classes, None))
        left.set_title("labelled", fontsize=8)
        kept = result.scores >= threshold
        right.imshow(annotated(image, result.boxes[kept], result.classes[kept], result.scores[kept]))
        right.set_title(f"detected, scores from {threshold:.2f}", fontsize=8)
    shown = dataset.classes[: len(COLOURS)]
    patches = [Patch(color=COLOURS[i], label=plain(name)) for i, name in enumerate(shown)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=8)
    figure.suptitle(plain(title), fontsize=10)
    figure.savefig(path, pil_kwargs={"quality": 85})


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly spaced."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(most, count))})


def images_of(
    results: Sequence[ImageResult], dataset: Dataset, chosen: Sequence[int]
) -> list[tuple[np.ndarray, ImageResult]]:
    """The chosen validation images, (H, W, 3) uint8 BGR with a longer side of SIDE, and their results at that size."""
    wanted, found = set(chosen), []
    for place, record in enumerate(read_images(dataset.validation.files)):
        if place in wanted:
            # boxes are on the pixels as stored
            as_stored = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            image = cv2.imdecode(np.frombuffer(record.image, np.uint8), as_stored)
            assert image is not None, record.name  # it was decoded when the dataset was made
            found.append(_enlarged(image, results[place]))
        if place == chosen[-1]:
            break
    return found


def _enlarged(image: np.ndarray, result: ImageResult) -> tuple[np.ndarray, ImageResult]:
    """The BGR image resized to a longer side of SIDE, and its result with boxes scaled accordingly."""
    scale = SIDE / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    by = np.array([size[1] / result.height, size[0] / result.width] * 2)
    boxes = ImageResult(
        size[1], size[0], result.true_boxes * by, result.true_classes, result.crowd,
        result.boxes * by, result.classes, result.scores,
    )  # fmt: skip
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), boxes


def annotated(
    image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray | None
) -> np.ndarray:
    """The BGR image converted to RGB, with boxes in the colours of their classes, and scores if given."""
    palette = sv.ColorPalette.from_hex(list(COLOURS))
    shown = sv.Detections(xyxy=boxes[:, [1, 0, 3, 2]].astype(float), class_id=labels.astype(int))
    drawn = sv.BoxAnnotator(palette, thickness=3).annotate(image.copy(), shown)
    if scores is not None and len(scores):
        texts = [f"{score:.2f}" for score in scores]
        drawn = sv.LabelAnnotator(
            palette, text_color=sv.Color.WHITE, text_scale=0.8, text_thickness=2, text_padding=3
        ).annotate(drawn, shown, labels=texts)
    return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB))
