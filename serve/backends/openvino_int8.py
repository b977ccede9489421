"""The OpenVINO backend in int8: the network, quantized by NNCF with the export's own training images, on the CPU."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import os
from pathlib import Path

import numpy as np
from filelock import FileLock

from serve.backends import cache
from serve.backends.openvino import OpenVino
from trainers.detection import calibration
from trainers.detection.export import CALIBRATION, Export
from trainers.errors import UserError
from trainers.files import replace_folder
from trainers.runtimes.openvino_model import LEAST, core

# types of operations; decoding of boxes stays in float32. The others are no computations
QUANTIZED = {"Convolution", "GroupConvolution", "MatMul", "Constant", "Convert", "Parameter", "Result"}
QUANTIZATION = 1  # version of `_quantize`; raise it when the quantization changes


class OpenVinoInt8(OpenVino):
    """Convolutions in int8, everything else in float32.

    Its detections differ from the export's; serve.backends.measuring says by how much mAP. Raises UserError without
    NNCF (the extra `int8`), or for an export without calibration images.
    """

    approximate = True

    def _path(self, export: Export) -> Path:
        """The quantized network in this machine's cache; made first if it is not there, in about a minute.

        Post-training quantization: ranges of activations are those in the calibration images, and biases are corrected.
        """
        images = export.directory / CALIBRATION
        if not images.exists():
            raise UserError("the export has no calibration images; export it again")
        try:
            nncf_version = importlib.metadata.version("nncf")
        except importlib.metadata.PackageNotFoundError:
            raise UserError("needs NNCF: pip install nncf") from None
        base = super()._path(export)
        folder = base.parent.with_name(f"{base.parent.name}-nncf-{nncf_version}-{QUANTIZATION}")
        with FileLock(cache.folder(export) / "openvino-int8.lock"):
            if not folder.is_dir():
                _quantize(base, calibration.load(images), folder)
        return folder / base.name


def _quantize(network: Path, images: calibration.Calibration, folder: Path) -> None:
    os.environ.setdefault("NNCF_CI", "1")  # sends no statistics of use to its makers
    import nncf
    import openvino as ov

    nncf.set_log_level(logging.ERROR)
    model = core().read_model(network)
    least = {LEAST: np.array(0, np.float32)} if len(model.inputs) > 1 else {}
    types = {operation.get_type_name() for operation in model.get_ops()}
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        model = nncf.quantize(
            model,
            nncf.Dataset([{"images": image[np.newaxis], **least} for image in images.training]),
            subset_size=len(images.training),
            # as NNCF advises: asymmetric activations where they have negative values
            preset=nncf.QuantizationPreset.MIXED if "Swish" in types else nncf.QuantizationPreset.PERFORMANCE,
            ignored_scope=nncf.IgnoredScope(types=sorted(types - QUANTIZED), validate=False),
        )
    with replace_folder(folder) as new:
        ov.save_model(model, new / "network.xml", compress_to_fp16=False)
