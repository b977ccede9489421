"""FPN: top-down sums of projected feature maps, and further levels by strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tf_keras
from object_detection.models.feature_map_generators import KerasFpnTopDownFeatureMaps

from trainers.object_detection_api.pyramid.necks.networks.layers import Layers
from trainers.object_detection_api.pyramid.structure import Structure


class FPN(tf_keras.Model):
    """[C3, C4, C5] -> [P3, P4, P5, P6, ...] (Lin et al. 2017, section 3; P6 and P7: arXiv 1708.02002).

    P3 to P5 are the API's, as in the zoo's detectors: each sum is convolved and normalised before it is passed down,
    and P5 is not convolved. In the paper the sums themselves are passed down, with which it learns less from scratch:
    on the toy city, after 360 steps with resnet50 and three seeds, mAP .468, .417, .465 for .478, .474, .492.
    """

    def __init__(self, structure: Structure, layers: Layers) -> None:
        super().__init__(name="fpn")
        self._of_backbone = structure.extra_levels == "c5"
        self._top_down = KerasFpnTopDownFeatureMaps(
            num_levels=3,
            depth=structure.channels,
            is_training=True,
            conv_hyperparams=layers.hyperparams,
            freeze_batchnorm=False,
        )
        extra = range(6, 3 + structure.levels)
        self._extra = [layers.convolution(3, f"level_{level}", stride=2) for level in extra]

    def call(self, features: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Feature maps (B, H, W, any) of strides 8, 16, 32 -> (B, H, W, channels) of strides 8, 16, 32, 64, ..."""
        named = [(str(level), each) for level, each in zip((3, 4, 5), features, strict=True)]
        found = list(self._top_down(named).values())
        top = features[-1] if self._of_backbone else found[-1]
        for downsample in self._extra:
            top = downsample(top)
            found.append(top)
        return found
