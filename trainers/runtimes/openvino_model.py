"""An export's SavedModel as a model of OpenVINO, read without TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainers.runtimes import RAW, SELECTED

LEAST = "least_score"  # input (), float32: the lowest score before suppression


@functools.cache
def core() -> Any:
    """One for the whole process, never closed.

    Each brings its own CPU plugin, which sets the thread's alternate signal stack and, when it is closed, sets back the
    one before: closed in the order of their making, two leave a freed stack, and the next signal ends the process.
    """
    import openvino as ov

    return ov.Core()


def read(saved_model: Path, size: int) -> Any:
    """The openvino.Model of a SavedModel with an input `images`, for squares of `size` pixels, any number at a time."""
    import openvino as ov

    # not ov.convert_model, which imports TensorFlow to check the type of its argument
    model = core().read_model(str(saved_model))
    model.reshape({"images": ov.PartialShape([-1, size, size, 3])})
    _remove_identity_resizing(model)
    return model


def with_suppression(
    model: Any, suppression: Mapping[str, Any], min_score: float, more: Sequence[str] = ()
) -> Any:
    """The model with OpenVINO's non-maximum suppression instead of TensorFlow's loop over images and classes.

    suppression: the manifest's; see trainers.detection.export.Export. min_score: of what is kept, whatever LEAST is.
    Outputs: RAW, SELECTED, and those of the model that are named in `more`; one more input, LEAST.
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
        ops.maximum(least, np.float32(max(suppression["score"], min_score))),
        box_encoding="corner",
        sort_result_descending=False,
        output_type="i32",
    )
    results = []
    kept = [model.output(name).node.input_value(0) for name in more]
    outputs = (boxes, scores, selected.output(0), *kept)
    for name, output in zip((*RAW, SELECTED, *more), outputs, strict=True):
        result = ops.result(output)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    return ov.Model(results, [*model.get_parameters(), least], "detector")


def _remove_identity_resizing(model: Any) -> None:
    """Remove resize operations whose output size equals their input size; OpenVINO would run them."""
    for operation in model.get_ops():
        if operation.get_type_name() != "Interpolate":
            continue
        source, result = operation.input_value(0), operation.output(0)
        if str(source.get_partial_shape()) == str(result.get_partial_shape()):
            for reader in result.get_target_inputs():
                reader.replace_source_output(source)
