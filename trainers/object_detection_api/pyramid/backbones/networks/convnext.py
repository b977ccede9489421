"""ConvNeXt with the layers, names and variables of tf_keras.applications, seeded drop path, and what detection adds.

For dense prediction, each feature map that leaves the network is normalised (mmdet/mmcls ConvNeXt, `out_indices`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tf_keras

from trainers.object_detection_api.pyramid.backbones.backbone import DETECTION_DEPTH
from trainers.object_detection_api.pyramid.backbones.networks.drop_path import DropPath, DropPathState
from trainers.object_detection_api.pyramid.backbones.networks.grouped import GroupedConv2D

EPSILON = 1e-6  # of layer normalisation
LAYER_SCALE = 1e-6  # initial scale of a residual branch
DETECTION = "out_norm"  # prefix of the layers that classification does not have


class LayerScale(tf_keras.layers.Layer):
    """Multiplies each channel by a trained factor (Touvron et al. 2021, arXiv 2103.17239, eq. 4)."""

    def build(self, shape: Any) -> None:
        """Create `gamma`, (channels,)."""
        start = tf_keras.initializers.Constant(LAYER_SCALE)
        self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer=start)
        super().build(shape)

    def call(self, inputs: Any) -> Any:
        """(..., channels) -> (..., channels)."""
        return inputs * self.gamma


def convnext(drop_path: DropPathState, blocks: Sequence[int], widths: Sequence[int]) -> Any:
    """The tf_keras Model from images (B, H, W, 3) to C3, C4 and C5. blocks, widths: by stage, of C2 to C5."""
    layers = tf_keras.layers
    shares = iter(np.linspace(0.0, 1.0, sum(blocks)))
    images = layers.Input([None, None, 3])
    x = layers.Conv2D(widths[0], 4, strides=4, name="convnext_stem_conv")(images)
    x = layers.LayerNormalization(epsilon=EPSILON, name="convnext_stem_layernorm")(x)
    outputs = []
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        if stage > 0:
            x = layers.LayerNormalization(
                epsilon=EPSILON, name=f"convnext_downsampling_layernorm_{stage - 1}"
            )(x)
            x = layers.Conv2D(width, 2, strides=2, name=f"convnext_downsampling_conv_{stage - 1}")(x)
        for block in range(count):
            x = _block(x, width, drop_path, float(next(shares)), f"convnext_stage_{stage}_block_{block}")
        outputs.append(x)
    normalised = [
        layers.LayerNormalization(epsilon=EPSILON, name=f"{DETECTION}_{stage}")(outputs[stage])
        for stage in (1, 2, 3)
    ]
    return tf_keras.Model(images, normalised, name="backbone")


def _block(x: Any, width: int, drop_path: DropPathState, share: float, name: str) -> Any:
    layers = tf_keras.layers
    y = GroupedConv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(x)
    y = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_layernorm")(y)
    y = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(width, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(name=f"{name}_layer_scale")(y)
    y = DropPath(drop_path, share, name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def depth(variable: str) -> int:
    """The layer number of the authors' rule (facebookresearch/ConvNeXt, optim_factory.py; arXiv 2201.03545, appendix A).

    Groups of three blocks: 0 the stem, 1 and 2 the first two stages with the downsampling before them, from 3 on three
    blocks of the third stage each, and after them the fourth stage. DETECTION_DEPTH for what detection adds.
    """
    if variable.startswith(DETECTION):
        return DETECTION_DEPTH
    if variable.startswith("convnext_stem"):
        return 0
    found = re.match(r"convnext_(?:downsampling_\w+?_(\d)|stage_(\d)_block_(\d+))", variable)
    if found is None:
        raise ValueError(f"{variable}: not a variable of a ConvNeXt")
    stage = int(found[1]) + 1 if found[1] else int(found[2])
    if stage == 3:
        return DETECTION_DEPTH - 1  # the last; Backbone.depth limits it to `layers`
    if stage == 2:
        return 3 + int(found[3] or 0) // 3
    return stage + 1
