"""ResNet V1 and ResNeXt with the layers, names and variables of tf_keras.applications.

The grouped convolutions of ResNeXt have the kernels of `Conv2D(groups=...)`; tf_keras.applications computes them by a
depthwise convolution and a sum, which takes as many times the memory as a group has channels (`grouped_kernel`
converts).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tf_keras

from trainers.object_detection_api.pyramid.backbones.networks.grouped import GroupedConv2D

EPSILON = 1.001e-5  # of batch normalisation, as in tf_keras.applications


def resnet(drop_path: Any, blocks: Sequence[int], groups: int = 1) -> Any:
    """The tf_keras Model from images (B, H, W, 3) to C3, C4 and C5. blocks: by stage, of C2 to C5.

    groups: of the 3x3 convolutions; with more than one, these have twice the filters, as in ResNeXt 32x4d. drop_path is
    not used.
    """
    layers = tf_keras.layers
    biased = groups == 1  # tf_keras' ResNet has biases before batch normalisation, its ResNeXt none
    images = layers.Input([None, None, 3])
    x = layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = layers.Conv2D(64, 7, strides=2, use_bias=biased, name="conv1_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name="conv1_bn")(x)
    x = layers.Activation("relu", name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    outputs = []
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _block(x, 64 * 2**stage, stride, groups, block == 0, f"conv{stage + 2}_block{block + 1}")
        outputs.append(x)
    return tf_keras.Model(images, outputs[1:], name="backbone")


def _block(x: Any, filters: int, stride: int, groups: int, projects: bool, name: str) -> Any:
    """A bottleneck block. projects: whether its shortcut is a convolution. filters: of its output, divided by 4."""
    layers = tf_keras.layers
    biased, width = groups == 1, filters * (1 if groups == 1 else 2)

    def normalised(value: Any, place: str) -> Any:
        return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_{place}_bn")(value)

    shortcut = x
    if projects:
        kernel = layers.Conv2D(4 * filters, 1, strides=stride, use_bias=biased, name=f"{name}_0_conv")
        shortcut = normalised(kernel(x), "0")
    # ResNet V1 of tf_keras has the stride in the first convolution, ResNeXt in the second
    first, second = (stride, 1) if groups == 1 else (1, stride)
    x = layers.Conv2D(width, 1, strides=first, use_bias=biased, name=f"{name}_1_conv")(x)
    x = layers.Activation("relu", name=f"{name}_1_relu")(normalised(x, "1"))
    if groups == 1:
        x = layers.Conv2D(width, 3, padding="same", name=f"{name}_2_conv")(x)
    else:
        x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
        x = GroupedConv2D(width, 3, strides=second, groups=groups, use_bias=False, name=f"{name}_2_conv")(x)
    x = layers.Activation("relu", name=f"{name}_2_relu")(normalised(x, "2"))
    x = normalised(layers.Conv2D(4 * filters, 1, use_bias=biased, name=f"{name}_3_conv")(x), "3")
    return layers.Activation("relu", name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))


def grouped_kernel(depthwise: np.ndarray) -> np.ndarray:
    """The kernel (h, w, c, C) of a grouped convolution from that of tf_keras' ResNeXt, (h, w, C, c).

    There, the depthwise convolution makes c values of each of C channels, and the values of the c channels of a group
    are added: output g * c + m of group g is the sum over its inputs i of the m-th value of channel g * c + i.
    """
    height, width, channels, each = depthwise.shape
    by_group = depthwise.reshape(height, width, channels // each, each, each)  # group, input, output
    return by_group.transpose(0, 1, 3, 2, 4).reshape(height, width, each, channels)


def depth(variable: str) -> int:
    """0 for the stem, and 1 to 4 for the stages of C2 to C5."""
    found = re.match(r"conv(\d)_", variable)
    if found is None:
        raise ValueError(f"{variable}: not a variable of a residual network")
    return int(found[1]) - 1
