"""The export's SavedModel, converted by OpenVINO when a machine first loads it, and run on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from serve.backends import cache
from serve.backends.backend import found
from trainers.export import Export
from trainers.files import replace_folder
from trainers.samples import Found

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


class OpenVino:
    """In float32: the lower precisions that OpenVINO may choose by itself move scores by more than parity allows."""

    def __init__(self, export: Export, threads: int) -> None:
        import openvino as ov

        self._compiled = ov.Core().compile_model(
            str(converted(export)),
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


def converted(export: Export) -> Path:
    """The network in OpenVINO's own format (.xml and .bin), which this machine keeps: converting takes seconds."""
    import openvino as ov

    folder = cache.folder(export) / f"openvino-{ov.__version__.partition('-')[0]}"
    with FileLock(folder.parent / "openvino.lock"):
        if not folder.is_dir():
            size = export.framing.size
            # not ov.convert_model, which imports TensorFlow to see whether it was given one of its objects
            model = ov.Core().read_model(str(export.saved_model))
            model.reshape({"images": ov.PartialShape([-1, size, size, 3])})
            with replace_folder(folder) as new:
                ov.save_model(model, new / "network.xml", compress_to_fp16=False)
    return folder / "network.xml"
