"""The OpenVINO backend of segmentation models: the network of the SavedModel up to its logits, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serve.backends.openvino_network import Network, converted
from trainers.segmentation.export import LOGITS, Export

CONVERSION = "logits-1"  # change it when `_only_logits` changes


class OpenVinoSegmenter:
    """Runs in float32, in as many streams as Network has."""

    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        self._network = Network(converted(export, CONVERSION, _only_logits), threads)
        self.streams = self._network.streams

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[np.ndarray]:
        """See Backend; (S, S, C) float32 logits of each."""
        with self._network.request() as request:
            # a copy, because the next batch overwrites the request's buffers
            return list(np.array(request.infer({"images": images})[LOGITS]))


def _only_logits(model: Any) -> Any:
    """The model without what makes masks of the logits."""
    import openvino as ov
    from openvino import opset13 as ops

    result = ops.result(model.output(LOGITS).node.input_value(0))
    result.output(0).get_tensor().set_names({LOGITS})
    return ov.Model([result], model.get_parameters(), "segmenter")
