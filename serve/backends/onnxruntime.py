"""The ONNX Runtime backend of detectors: the network of the SavedModel, with ONNX's non-maximum suppression."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from serve.backends import cache
from serve.backends.backend import MAX_STREAMS, found
from serve.backends.suppression import MIN_SCORE, OUTPUTS, gather_detections
from trainers.detection.export import Export
from trainers.detection.samples import DetectionArrays
from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.runtimes import RAW, SELECTED

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # best first; what the package has is used
OPSET = 18  # of the operators, which ONNX Runtime takes from 1.14 on
CONVERSION = "1"  # change it when `_convert` changes


class OnnxRuntime:
    """Runs a detector in float32; with several streams, each has its share of the CPU threads.

    Raises UserError without tf2onnx and ONNX Runtime (the extra `onnx`).
    """

    approximate = False

    def __init__(self, export: Export, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError("needs ONNX Runtime: pip install onnxruntime tf2onnx") from None
        self._suppression = export.manifest.get("suppression")
        self.streams = min(threads, MAX_STREAMS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // self.streams)
        options.log_severity_level = 3  # errors
        there = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            str(_converted(export)), options, providers=[name for name in PROVIDERS if name in there]
        )

    def run(self, images: np.ndarray, least: float = 0.0) -> Sequence[DetectionArrays]:
        """See Backend."""
        if self._suppression is None:
            return found(*self._session.run(OUTPUTS, {"images": images}))
        boxes, scores, selected = self._session.run((*RAW, SELECTED), {"images": images})
        return gather_detections(selected, boxes, scores, self._suppression["in_all"])


def _converted(export: Export) -> Path:
    """The network in ONNX's format in this machine's cache; converted first if it is not there."""
    try:
        version = importlib.metadata.version("tf2onnx")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("needs tf2onnx: pip install tf2onnx") from None
    folder = cache.folder(export) / f"onnx-{version}-{CONVERSION}"
    with FileLock(folder.parent / "onnx.lock"):
        if not folder.is_dir():
            with replace_folder(folder) as new:
                _convert(export, new / "network.onnx")
    return folder / "network.onnx"


def _convert(export: Export, path: Path) -> None:
    """Write the SavedModel as an ONNX file, without TensorFlow's loop over images and classes if it has one."""
    import onnx
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    suppression = export.manifest.get("suppression")
    names = OUTPUTS if suppression is None else RAW
    model = tf.saved_model.load(str(export.saved_model))
    signature = model.signatures["serving_default"]
    frozen = convert_variables_to_constants_v2(signature, aggressive_inlining=True)
    [images] = frozen.inputs
    tensors = dict(zip(sorted(signature.structured_outputs), frozen.outputs, strict=True))
    outputs = [tensors[name].name for name in names]
    graph = tf.compat.v1.graph_util.extract_sub_graph(
        frozen.graph.as_graph_def(), [tensors[name].op.name for name in names]
    )
    converted, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=[images.name], output_names=outputs, opset=OPSET,
        shape_override={images.name: [None, export.size, export.size, 3]},
    )  # fmt: skip
    # from_graph_def keeps TensorFlow's names of tensors
    _rename(converted.graph, {images.name: "images", **dict(zip(outputs, names, strict=True))})
    if suppression is not None:
        _add_suppression(converted.graph, suppression)
    onnx.save(converted, str(path))


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [names.get(name, name) for name in places]


def _add_suppression(graph: Any, suppression: Mapping[str, Any]) -> None:
    """Add ONNX's non-maximum suppression and its output SELECTED: int64 (M, 3), rows of image, class from 0 and box.

    suppression: the manifest's; see trainers.detection.export.Export.
    """
    from onnx import TensorProto, helper, numpy_helper

    boxes, scores = RAW
    values = {
        "suppression_of_class": np.array([suppression["of_class"]], np.int64),
        "suppression_iou": np.array([suppression["iou"]], np.float32),
        "suppression_score": np.array([max(suppression["score"], MIN_SCORE)], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    graph.node.extend(
        [
            helper.make_node("Transpose", [scores], ["scores_by_class"], perm=[0, 2, 1]),
            helper.make_node("NonMaxSuppression", [boxes, "scores_by_class", *values], [SELECTED]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(SELECTED, TensorProto.INT64, [None, 3]))
