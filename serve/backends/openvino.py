"""The OpenVINO backend of detectors: the network of the SavedModel, with OpenVINO's non-maximum suppression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve.backends.backend import found
from serve.backends.openvino_network import Network, converted
from serve.backends.suppression import MIN_SCORE, OUTPUTS, RAW, SELECTED, gather_detections
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays

LEAST = "least_score"  # input (), float32: the lowest score before suppression
CONVERSION = "4"  # change it when `_with_suppression` changes


class OpenVino:
    """Runs a detector in float32, in as many streams as Network has."""

    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        self._suppression = export.manifest.get("suppression")
        self._network = Network(self._path(export), threads)
        self.streams = self._network.streams

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[DetectionArrays]:
        """See Backend."""
        with self._network.request() as request:
            if self._suppression is None:
                out = request.infer({"images": images})
                # copies, because the next batch overwrites the request's buffers
                return found(*(np.array(out[name]) for name in OUTPUTS))
            out = request.infer({"images": images, LEAST: np.array(least, np.float32)})
            boxes, scores = (out[name] for name in RAW)
            return gather_detections(out[SELECTED], boxes, scores, self._suppression["in_all"])

    def _path(self, export: Export) -> Path:
        """The network to run, in OpenVINO's format."""
        return converted(export, CONVERSION, self._changed)

    def _changed(self, model: Any) -> Any:
        return model if self._suppression is None else _with_suppression(model, self._suppression)


def _with_suppression(model: Any, suppression: Mapping[str, Any]) -> Any:
    """The model with OpenVINO's non-maximum suppression instead of TensorFlow's loop over images and classes.

    suppression: the manifest's; see trainers.detection.export.Export. Outputs: RAW and SELECTED; one more input, LEAST.
    """
    import openvino as ov
    from openvino import opset13 as ops

    boxes, scores = (model.output(name).node.input_value(0) for name in RAW)
    least = ops.parameter([], np.float32, name=LEAST)
    least.output(0).get_tensor().set_names({LEAST})
    # its outputs: selected boxes, their scores, their number
    selected = ops.non_max_suppression(
        boxes,
        ops.transpose(scores, np.array([0, 2, 1])),
        np.int64(suppression["of_class"]),
        np.float32(suppression["iou"]),
        ops.maximum(least, np.float32(max(suppression["score"], MIN_SCORE))),
        box_encoding="corner",
        sort_result_descending=False,
        output_type="i32",
    )
    results = []
    for name, output in zip((*RAW, SELECTED), (boxes, scores, selected.output(0)), strict=True):
        result = ops.result(output)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    return ov.Model(results, [*model.get_parameters(), least], "detector")
