"""Retina: the API's own loss, over anchors matched by IoU; and the box losses."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from object_detection.core import losses as api_losses
from object_detection.meta_architectures.ssd_meta_arch import SSDMetaArch


def losses(model: Any, predictions: Any) -> dict[str, tf.Tensor]:
    """The sums over anchors, divided by the number of matched ones: focal loss, and the configured box loss."""
    found: dict[str, tf.Tensor] = SSDMetaArch.loss(model, predictions, None)
    return found


class L1(api_losses.Loss):
    """The absolute difference of box codes, summed over their four numbers. It replaces the API's smooth L1."""

    def _compute_loss(self, prediction_tensor: Any, target_tensor: Any, weights: Any) -> tf.Tensor:
        """(B, A, 4), (B, A, 4), (B, A) -> (B, A)."""
        return tf.reduce_sum(tf.abs(prediction_tensor - target_tensor), -1) * weights
