"""The export's SavedModel, converted by OpenVINO when a machine first loads it, and run on the CPU."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from serve.backends import cache
from serve.backends.backend import found
from trainers.detection.export import Export
from trainers.detection.samples import Found
from trainers.files import replace_folder

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
CHOSEN = (
    "chosen"  # output: (M, 3) image, class from 0 and number of each box that suppression leaves; then -1
)
STREAMS = 4  # with more threads than this, a stream has several: each holds a batch of frames on their way
# of what is found: suppression would sort nearly every box for the 1e-8 that training asks for
LEAST_SCORE = 0.001
CONVERSION = 3  # of `converted`, raised when it makes something else of an export


class OpenVino:
    """In float32: the lower precisions that OpenVINO may choose by itself move scores by more than parity allows.

    A stream for each CPU thread, up to STREAMS: two batches side by side take less than one after the other with both
    threads on each, for those wait for one another at every layer, most of all where other work has one of the cores.
    """

    def __init__(self, export: Export, threads: int) -> None:
        import openvino as ov

        self.streams = min(threads, STREAMS)
        self._suppression = export.manifest.get("suppression")
        self._compiled = ov.Core().compile_model(
            str(converted(export)),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": self.streams,
                "ENABLE_CPU_PINNING": False,  # decoding and encoding share the cores, and the scheduler knows better
            },
        )
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()  # requests; each runs one batch at a time
        for _ in range(self.streams):
            self._idle.put(self._compiled.create_infer_request())

    def detect(self, images: np.ndarray) -> Sequence[Found]:
        """See Backend."""
        request = self._idle.get()
        try:
            out = request.infer({"images": images})
            if self._suppression is None:
                # copies: the request's own buffers are written over by the next batch
                return found(*(np.array(out[name]) for name in OUTPUTS))
            boxes, scores = out["raw_detection_boxes"], out["raw_detection_scores"]
            return gathered(out[CHOSEN], boxes, scores, self._suppression["in_all"])
        finally:
            self._idle.put(request)


def converted(export: Export) -> Path:
    """The network in OpenVINO's own format (.xml and .bin), which this machine keeps: converting takes seconds."""
    import openvino as ov

    folder = cache.folder(export) / f"openvino-{ov.__version__.partition('-')[0]}-{CONVERSION}"
    with FileLock(folder.parent / "openvino.lock"):
        if not folder.is_dir():
            size = export.framing.size
            # not ov.convert_model, which imports TensorFlow to see whether it was given one of its objects
            model = ov.Core().read_model(str(export.saved_model))
            model.reshape({"images": ov.PartialShape([-1, size, size, 3])})
            _without_idle_resizing(model)
            suppression = export.manifest.get("suppression")
            if suppression is not None:
                model = _suppressing(model, suppression)
            with replace_folder(folder) as new:
                ov.save_model(model, new / "network.xml", compress_to_fp16=False)
    return folder / "network.xml"


def _without_idle_resizing(model: Any) -> None:
    """Leave out what resizes to the size that is there already, which OpenVINO would do pixel by pixel."""
    for operation in model.get_ops():
        if operation.get_type_name() != "Interpolate":
            continue
        source, result = operation.input_value(0), operation.output(0)
        if str(source.get_partial_shape()) == str(result.get_partial_shape()):
            for reader in result.get_target_inputs():
                reader.replace_source_output(source)


def _suppressing(model: Any, suppression: Mapping[str, Any]) -> Any:
    """The model with one operation of OpenVINO's for all images and classes, instead of TensorFlow's loop over both.

    Outputs: raw_detection_boxes, raw_detection_scores, CHOSEN.
    """
    import openvino as ov
    from openvino import opset13 as ops

    raw = [model.output(name).node.input_value(0) for name in ("raw_detection_boxes", "raw_detection_scores")]
    boxes, scores = raw
    # outputs: what is chosen, its scores, how many
    chosen = ops.non_max_suppression(
        boxes,
        ops.transpose(scores, np.array([0, 2, 1])),
        np.int64(suppression["of_class"]),
        np.float32(suppression["iou"]),
        np.float32(max(suppression["score"], LEAST_SCORE)),
        box_encoding="corner",
        sort_result_descending=False,
        output_type="i32",
    )
    results = []
    for name, output in (
        ("raw_detection_boxes", boxes),
        ("raw_detection_scores", scores),
        (CHOSEN, chosen.output(0)),
    ):
        result = ops.result(output)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    return ov.Model(results, model.get_parameters(), "detector")


def gathered(chosen: np.ndarray, boxes: np.ndarray, scores: np.ndarray, most: int) -> list[Found]:
    """What suppression left, (M, 3) rows of image, class, box -> detections of each image: the `most` best, clipped.

    boxes: (N, A, 4); scores: (N, A, C).
    """
    rows = chosen[chosen[:, 0] >= 0]
    everywhere = scores[rows[:, 0], rows[:, 2], rows[:, 1]]
    detections = []
    for image in range(len(boxes)):
        mine = rows[:, 0] == image
        order = np.argsort(-everywhere[mine], kind="stable")
        inside = boxes[image, rows[mine, 2][order]].clip(0.0, 1.0)
        there = ((inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])).nonzero()[0][:most]
        detections.append(
            Found(
                inside[there],
                everywhere[mine][order][there],
                rows[mine, 1][order][there].astype(np.int64) + 1,
            )
        )
    return detections
