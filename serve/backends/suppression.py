"""Non-maximum suppression by a runtime's own operator, in place of the export's loop: its names, and its results."""

from __future__ import annotations

import numpy as np

from serve.backends.backend import class_ids
from trainers.detection.samples import DetectionArrays

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")  # of an export
# minimum score before suppression; with training's 1e-8 it would sort nearly every box
MIN_SCORE = 0.001


def gather_detections(
    selected: np.ndarray, boxes: np.ndarray, scores: np.ndarray, max_detections: int
) -> list[DetectionArrays]:
    """The boxes that suppression kept -> each image's detections, best first, boxes clipped to the square.

    selected: (M, 3) rows of image, class index from 0 and box; -1 in unused rows. boxes: (N, A, 4).
    scores: (N, A, C). max_detections: per image; boxes that are empty after clipping do not count.
    """
    rows = selected[selected[:, 0] >= 0]
    row_scores = scores[rows[:, 0], rows[:, 2], rows[:, 1]]
    detections = []
    for image in range(len(boxes)):
        of_image = np.flatnonzero(rows[:, 0] == image)
        best_first = of_image[np.argsort(-row_scores[of_image], kind="stable")]
        clipped = boxes[image, rows[best_first, 2]].clip(0.0, 1.0)
        valid = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
        kept = np.flatnonzero(valid)[:max_detections]
        best = best_first[kept]
        detections.append(DetectionArrays(clipped[kept], row_scores[best], class_ids(rows[best, 1])))
    return detections
