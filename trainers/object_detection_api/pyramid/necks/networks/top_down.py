"""FPN: top-down sums of projected feature maps, and further levels by strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from trainers.object_detection_api.pyramid.necks.networks.layers import Layers, twice_as_large
from trainers.object_detection_api.pyramid.structure import Structure


class FPN(tf_keras.Model):
    """[C3, C4, C5] -> [P3, P4, P5, P6, ...] (Lin et al. 2017, section 3; P6 and P7: arXiv 1708.02002)."""

    def __init__(self, structure: Structure, layers: Layers) -> None:
        super().__init__(name="fpn")
        self._of_backbone = structure.extra_levels == "c5"
        self._projections = [layers.projection(f"projection_{level}") for level in (3, 4, 5)]
        self._smoothing = [layers.convolution(3, f"smoothing_{level}") for level in (3, 4, 5)]
        extra = range(6, 3 + structure.levels)
        self._extra = [layers.convolution(3, f"level_{level}", stride=2) for level in extra]

    def call(self, features: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Feature maps (B, H, W, any) of strides 8, 16, 32 -> (B, H, W, channels) of strides 8, 16, 32, 64, ..."""
        lateral = [project(each) for project, each in zip(self._projections, features, strict=True)]
        for lower in (1, 0):
            lateral[lower] += twice_as_large(lateral[lower + 1])
        found = [smooth(each) for smooth, each in zip(self._smoothing, lateral, strict=True)]
        top = features[-1] if self._of_backbone else found[-1]
        for downsample in self._extra:
            top = downsample(top)
            found.append(top)
        return found
