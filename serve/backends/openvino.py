"""The OpenVINO backend: converts the export's SavedModel once per machine, and runs it on the CPU."""

from __future__ import annotations

import functools
import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from serve.backends import cache
from serve.backends.backend import class_ids, found
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays
from trainers.files import replace_folder

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
# output (M, 3), one row per box that suppression keeps: image, class index from 0, box; unused rows are -1
SELECTED = "chosen"
MAX_STREAMS = 4  # each holds a batch of frames in memory; with more threads, a stream has several
# minimum score before suppression; with training's 1e-8 it would sort nearly every box
MIN_SCORE = 0.001
CONVERSION = 3  # version of `converted`; raise it when the conversion changes


class OpenVino:
    """Runs in float32: the lower precisions that OpenVINO may pick change scores by more than parity allows.

    One stream per CPU thread, up to MAX_STREAMS: two batches in parallel on one thread each are faster than one after
    the other on two threads, which have to synchronise at every layer.
    """

    def __init__(self, export: Export, threads: int) -> None:
        self.streams = min(threads, MAX_STREAMS)
        self._suppression = export.manifest.get("suppression")
        self._compiled = _core().compile_model(
            str(converted(export)),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": self.streams,
                "ENABLE_CPU_PINNING": False,  # decoding and encoding share the cores
            },
        )
        self._idle: queue.SimpleQueue[Any] = (
            queue.SimpleQueue()
        )  # infer requests; each runs one batch at a time
        for _ in range(self.streams):
            self._idle.put(self._compiled.create_infer_request())

    def detect(self, images: np.ndarray) -> Sequence[DetectionArrays]:
        """See Backend."""
        request = self._idle.get()
        try:
            out = request.infer({"images": images})
            if self._suppression is None:
                # copies, because the next batch overwrites the request's buffers
                return found(*(np.array(out[name]) for name in OUTPUTS))
            boxes, scores = out["raw_detection_boxes"], out["raw_detection_scores"]
            return gather_detections(out[SELECTED], boxes, scores, self._suppression["in_all"])
        finally:
            self._idle.put(request)


@functools.cache
def _core() -> Any:
    """One for the whole process, never closed.

    Each brings its own CPU plugin, which sets the thread's alternate signal stack and, when it is closed, sets back the
    one before: closed in the order of their making, two leave a freed stack, and the next signal ends the process.
    """
    import openvino as ov

    return ov.Core()


def converted(export: Export) -> Path:
    """The network in OpenVINO's format (.xml and .bin) in this machine's cache; converted first if it is not there."""
    import openvino as ov

    folder = cache.folder(export) / f"openvino-{ov.__version__.partition('-')[0]}-{CONVERSION}"
    with FileLock(folder.parent / "openvino.lock"):
        if not folder.is_dir():
            size = export.framing.size
            # not ov.convert_model, which imports TensorFlow to check the type of its argument
            model = _core().read_model(str(export.saved_model))
            model.reshape({"images": ov.PartialShape([-1, size, size, 3])})
            _remove_identity_resizing(model)
            suppression = export.manifest.get("suppression")
            if suppression is not None:
                model = _with_suppression(model, suppression)
            with replace_folder(folder) as new:
                ov.save_model(model, new / "network.xml", compress_to_fp16=False)
    return folder / "network.xml"


def _remove_identity_resizing(model: Any) -> None:
    """Remove resize operations whose output size equals their input size; OpenVINO would run them."""
    for operation in model.get_ops():
        if operation.get_type_name() != "Interpolate":
            continue
        source, result = operation.input_value(0), operation.output(0)
        if str(source.get_partial_shape()) == str(result.get_partial_shape()):
            for reader in result.get_target_inputs():
                reader.replace_source_output(source)


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
