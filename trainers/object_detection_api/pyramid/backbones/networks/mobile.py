"""MobileNet V2 of tf_keras.applications, with the feature maps that detection needs."""

from __future__ import annotations

import re
from typing import Any

import tf_keras

# the last layers of strides 8, 16 and 32: the expansions before the convolution that halves the size, as in SSDLite
_OUTPUTS = ("block_6_expand_relu", "block_13_expand_relu", "out_relu")


def mobilenet_v2(drop_path: Any) -> Any:
    """The tf_keras Model from images (B, H, W, 3) to C3, C4 and C5. drop_path is not used."""
    whole = tf_keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=[None, None, 3])
    return tf_keras.Model(whole.inputs, [whole.get_layer(name).output for name in _OUTPUTS], name="backbone")


def depth(variable: str) -> int:
    """0 for the layers of stride 2, and 1 to 4 for those of strides 4, 8, 16 and 32."""
    if variable.startswith(("Conv1", "bn_Conv1", "expanded_conv")):
        return 0
    if variable.startswith("Conv_1"):
        return 4
    found = re.match(r"block_(\d+)_", variable)
    if found is None:
        raise ValueError(f"{variable}: not a variable of a MobileNet V2")
    block = int(found[1])
    return 1 + sum(block >= first for first in (3, 6, 13))
