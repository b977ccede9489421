"""The export's SavedModel, converted by OpenVINO as it is loaded and run on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serve.backends.backend import found
from trainers.export import Export
from trainers.samples import Found

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


class OpenVino:
    """In float32: the lower precisions that OpenVINO may choose by itself move scores by more than parity allows."""

    def __init__(self, export: Export, threads: int) -> None:
        import openvino as ov

        size = export.framing.size
        model = ov.convert_model(
            str(export.saved_model), input=[("images", ov.PartialShape([-1, size, size, 3]))]
        )
        self._compiled = ov.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request = self._compiled.create_infer_request()

    def detect(self, images: np.ndarray) -> Sequence[Found]:
        """See Backend."""
        out = self._request.infer({"images": images})
        # copies: the request's own buffers are written over by the next batch
        return found(*(np.array(out[name]) for name in OUTPUTS))
