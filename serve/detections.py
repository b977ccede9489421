"""Detections of one image: as arrays (Detections), as objects (Detection), and as COCO results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from serve.backends.backend import FIRST_CLASS_ID
from serve.jobs.options import Options
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays


@dataclass(frozen=True, eq=False)
class Detections:
    """All detections of one image, highest score first; what `serve.Detector.detect` returns.

    boxes: (D, 4) float32, [ymin, xmin, ymax, xmax], normalised to the image (0 to 1). scores: (D,) float32.
    class_ids: (D,) int64, counted from 1 as in the export's label map. class_names: D names.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Detection:
    """One detected object.

    box: [ymin, xmin, ymax, xmax], normalised to the frame. class_id: from 1. name: of the class.
    track: the object's id through the video, None without tracking.
    """

    box: tuple[float, float, float, float]
    score: float
    class_id: int
    name: str
    track: int | None = None

    def pixels(self, height: int, width: int) -> tuple[float, float, float, float]:
        """[left, top, right, bottom] in pixels."""
        ymin, xmin, ymax, xmax = self.box
        return xmin * width, ymin * height, xmax * width, ymax * height

    def to_dict(self, height: int, width: int) -> dict[str, Any]:
        """For JSON: `box` normalised [ymin, xmin, ymax, xmax], `pixels` [left, top, right, bottom]."""
        plain: dict[str, Any] = {
            "class": self.name,
            "class_id": self.class_id,
            "score": round(self.score, 4),
            "box": [round(value, 5) for value in self.box],
            "pixels": [round(value, 1) for value in self.pixels(height, width)],
        }
        return plain if self.track is None else plain | {"track": self.track}


def in_image(
    found: DetectionArrays, export: Export, threshold: float | None, height: int, width: int
) -> Detections:
    """The network's detections after post-processing, their boxes mapped from the square to the image.

    threshold: the lowest score of all classes; None for the export's own.
    """
    kept = export.kept(found, threshold)
    names = tuple(export.classes[class_id - FIRST_CLASS_ID] for class_id in kept.classes)
    return Detections(export.framing.restore(kept.boxes, height, width), kept.scores, kept.classes, names)


def objects(
    found: DetectionArrays, export: Export, options: Options, height: int, width: int
) -> list[Detection]:
    """The network's detections in a `height` x `width` frame, with the threshold and the classes of the options."""
    kept = in_image(found, export, options.threshold, height, width)
    return [
        Detection((float(b[0]), float(b[1]), float(b[2]), float(b[3])), float(score), int(class_id), name)
        for b, score, class_id, name in zip(
            kept.boxes, kept.scores, kept.class_ids, kept.class_names, strict=True
        )
        if options.classes is None or name in options.classes
    ]


def coco_results(frames: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Parsed lines of frame_line -> COCO results: image_id is the frame index, bbox [x, y, w, h] in pixels."""
    for frame in frames:
        for found in frame["objects"]:
            left, top, right, bottom = found["pixels"]
            yield {
                "image_id": frame["frame"],
                "category_id": found["class_id"],
                "bbox": [left, top, round(right - left, 1), round(bottom - top, 1)],
                "score": found["score"],
            }
