"""The OpenVINO backend of detectors: the network of the SavedModel, with OpenVINO's non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serve.backends.backend import found
from serve.backends.openvino_network import Network, converted
from serve.backends.suppression import MIN_SCORE, OUTPUTS, gather_detections
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays
from trainers.runtimes import RAW, SELECTED
from trainers.runtimes.openvino_model import LEAST, with_suppression

CONVERSION = "4"  # change it when `with_suppression` changes


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
        return model if self._suppression is None else with_suppression(model, self._suppression, MIN_SCORE)
