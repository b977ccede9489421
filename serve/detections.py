"""Detection: one object in one frame, and the line of JSON that a frame becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve.jobs.options import Options
from trainers.detection.export import Export
from trainers.detection.samples import Found


@dataclass(frozen=True)
class Detection:
    """One object.

    box: [ymin, xmin, ymax, xmax], normalised to the frame. class_id: from 1; name: of the class.
    track: the object's id through the video, where one was asked for.
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
        """As JSON holds it: `box` normalised [ymin, xmin, ymax, xmax], `pixels` [left, top, right, bottom]."""
        plain: dict[str, Any] = {
            "class": self.name,
            "class_id": self.class_id,
            "score": round(self.score, 4),
            "box": [round(value, 5) for value in self.box],
            "pixels": [round(value, 1) for value in self.pixels(height, width)],
        }
        return plain if self.track is None else plain | {"track": self.track}


def of(found: Found, export: Export, options: Options, height: int, width: int) -> list[Detection]:
    """What the network found in the square of a `height` x `width` frame, as the options ask for it."""
    kept = found.above(export.threshold if options.threshold is None else options.threshold)
    boxes = export.framing.restore(kept.boxes, height, width)
    detections = (
        Detection(
            (float(b[0]), float(b[1]), float(b[2]), float(b[3])),
            float(score),
            int(label),
            export.classes[label - 1],
        )
        for b, score, label in zip(boxes, kept.scores, kept.classes, strict=True)
    )
    return [each for each in detections if options.classes is None or each.name in options.classes]


def line(index: int, time: float, detections: Sequence[Detection], height: int, width: int) -> str:
    """A frame's line of JSON, with its line feed."""
    objects = [each.to_dict(height, width) for each in detections]
    return json.dumps({"frame": index, "time": round(time, 4), "objects": objects}, ensure_ascii=False) + "\n"


def coco(lines: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Frames' lines -> COCO results: image_id is the frame's number, bbox [x, y, width, height] in pixels."""
    for frame in lines:
        for found in frame["objects"]:
            left, top, right, bottom = found["pixels"]
            yield {
                "image_id": frame["frame"],
                "category_id": found["class_id"],
                "bbox": [left, top, round(right - left, 1), round(bottom - top, 1)],
                "score": found["score"],
            }
