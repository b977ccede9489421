"""Losses of segmentation: cross-entropy with class weights, its focal form, and soft Dice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

_EPSILON = 1e-6


@dataclass(frozen=True)
class LossSettings:
    """The settings of the loss, float32 tensors. class_weights: (C,); the others are scalars of SegmentationRecipe."""

    class_weights: Any
    focal_gamma: Any
    dice: Any
    l2: Any

    def tensors(self) -> tuple[Any, ...]:
        """All of them, to pass to a traced function."""
        return self.class_weights, self.focal_gamma, self.dice, self.l2


def losses(logits: Any, masks: Any, settings: LossSettings) -> dict[str, Any]:
    """The loss parts, float32 scalars: `cross_entropy` (plain, for comparisons), `pixels`, `dice`, and `data`.

    logits: (N, S, S, C) float32. masks: (N, S, S) uint8; a value of C or more does not count.
    data: (1 - dice) * pixels + dice * Dice; pixels: the weighted, focal cross-entropy, a mean over the pixels.
    """
    count = logits.shape[-1]
    true = tf.one_hot(tf.cast(masks, tf.int32), count)  # zeros where a pixel is ignored
    logs = tf.nn.log_softmax(logits)
    probabilities = tf.exp(logs)
    counted = tf.reduce_sum(true, axis=-1)
    pixels = tf.maximum(tf.reduce_sum(counted), 1.0)
    entropy = -tf.reduce_sum(true * logs, axis=-1)
    right = tf.reduce_sum(true * probabilities, axis=-1)
    # the gradient of x ** gamma is not finite at 0
    focus = tf.pow(tf.maximum(1.0 - right, _EPSILON), settings.focal_gamma)
    weights = tf.reduce_sum(true * settings.class_weights, axis=-1)
    weighted = tf.reduce_sum(weights * focus * entropy) / pixels
    dice = _dice(true, probabilities * counted[..., tf.newaxis])
    return {
        "cross_entropy": tf.reduce_sum(entropy) / pixels,
        "pixels": weighted,
        "dice": dice,
        "data": (1.0 - settings.dice) * weighted + settings.dice * dice,
    }


def _dice(true: Any, probabilities: Any) -> Any:
    """1 - the mean over classes of 2 sum(p t) / (sum(p) + sum(t)), over the classes that the batch shows."""
    axes = [0, 1, 2]
    both = tf.reduce_sum(true * probabilities, axes)
    shown = tf.reduce_sum(true, axes)
    overlap = (2.0 * both + _EPSILON) / (tf.reduce_sum(probabilities, axes) + shown + _EPSILON)
    present = tf.cast(shown > 0, tf.float32)
    return 1.0 - tf.reduce_sum(overlap * present) / tf.maximum(tf.reduce_sum(present), 1.0)
