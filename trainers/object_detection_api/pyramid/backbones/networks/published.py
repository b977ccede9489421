"""The networks of tf_keras.applications, from which backbones take published weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tf_keras
from tf_keras.src.applications import convnext, resnet

from trainers.errors import UserError
from trainers.object_detection_api.pyramid.backbones.networks.convnext import DETECTION
from trainers.object_detection_api.pyramid.backbones.networks.residual import grouped_kernel


def load(network: Any, settings: Mapping[str, Any], file: Path) -> None:
    """Set a backbone's variables from a file (HDF5) of its published weights, without the classifier.

    Raises UserError if the file is of another network.
    """
    whole = network_of(settings)
    try:
        whole.load_weights(str(file))
    except (ValueError, OSError, KeyError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: is not of weights of this backbone: {line}") from None
    copy(whole, network)


def network_of(
    settings: Mapping[str, Any], shape: tuple[int | None, int | None, int] = (None, None, 3)
) -> Any:
    """The tf_keras model, without its classifier, that a Backbone with these settings has the variables of."""
    options = {"include_top": False, "weights": None, "input_shape": shape}
    if not settings:
        return tf_keras.applications.MobileNetV2(**options)
    if "widths" in settings:
        blocks, widths = settings["blocks"], settings["widths"]
        return convnext.ConvNeXt(blocks, widths, include_preprocessing=False, **options)

    def stack(x: Any) -> Any:
        for stage, count in enumerate(settings["blocks"]):
            stride, name = min(2, stage + 1), f"conv{stage + 2}"
            if "groups" in settings:
                x = resnet.stack3(x, 128 * 2**stage, count, stride, name=name)
            else:
                x = resnet.stack1(x, 64 * 2**stage, count, stride, name=name)
        return x

    return resnet.ResNet(stack, False, "groups" not in settings, **options)


def copy(published: Any, network: Any) -> None:
    """Set all variables of a backbone's network to those of the tf_keras model, except what detection adds."""
    values = {_plain(variable): variable.numpy() for variable in published.variables}
    for variable in network.variables:
        name = _plain(variable)
        if name in values:
            variable.assign(values[name])
        elif not name.startswith(DETECTION):  # tf_keras' grouped convolutions are depthwise
            variable.assign(grouped_kernel(values[name.replace("/kernel", "/depthwise_kernel")]))


def _plain(variable: Any) -> str:
    """Its name without that of a nested model, and without what ConvNeXts begin with."""
    return str(variable.name).rsplit("convnext_", 1)[-1]
