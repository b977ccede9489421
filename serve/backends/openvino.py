"""The OpenVINO backend of detectors: the network of the SavedModel, with OpenVINO's non-maximum suppression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve.backends.backend import class_ids, found
from serve.backends.openvino_network import Network, converted
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
# output (M, 3), one row per box that suppression keeps: image, class index from 0, box; unused rows are -1
SELECTED = "chosen"
# minimum score before suppression; with training's 1e-8 it would sort nearly every box
MIN_SCORE = 0.001
CONVERSION = "3"  # change it when `_with_suppression` changes


class OpenVino:
    """Runs a detector in float32, in as many streams as Network has."""

    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        self._suppression = export.manifest.get("suppression")
        self._network = Network(self._path(export), threads)
        self.streams = self._network.streams

    def run(self, images: np.ndarray) -> Sequence[DetectionArrays]:
        """See Backend."""
        with self._network.request() as request:
            out = request.infer({"images": images})
            if self._suppression is None:
                # copies, because the next batch overwrites the request's buffers
                return found(*(np.array(out[name]) for name in OUTPUTS))
            boxes, scores = out["raw_detection_boxes"], out["raw_detection_scores"]
            return gather_detections(out[SELECTED], boxes, scores, self._suppression["in_all"])

    def _path(self, export: Export) -> Path:
        """The network to run, in OpenVINO's format."""
        return converted(export, CONVERSION, self._changed)

    def _changed(self, model: Any) -> Any:
        return model if self._suppression is None else _with_suppression(model, self._suppression)


def _with_suppression(model: Any, suppression: Mapping[str, Any]) -> Any:
    """The model with OpenVINO's non-maximum suppression instead of TensorFlow's loop over images and classes.

    suppression: the manifest's; see trainers.detection.export.Export. Outputs: raw_detection_boxes,
    raw_detection_scores, SELECTED.
    """
    import openvino as ov
    from openvino import opset13 as ops

    raw = [model.output(name).node.input_value(0) for name in ("raw_detection_boxes", "raw_detection_scores")]
    boxes, scores = raw
    # its outputs: selected boxes, their scores, their number
    selected = ops.non_max_suppression(
        boxes,
        ops.transpose(scores, np.array([0, 2, 1])),
        np.int64(suppression["of_class"]),
        np.float32(suppression["iou"]),
        np.float32(max(suppression["score"], MIN_SCORE)),
        box_encoding="corner",
        sort_result_descending=False,
        output_type="i32",
    )
    results = []
    for name, output in (
        ("raw_detection_boxes", boxes),
        ("raw_detection_scores", scores),
        (SELECTED, selected.output(0)),
    ):
        result = ops.result(output)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    return ov.Model(results, model.get_parameters(), "detector")


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
