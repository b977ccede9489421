"""Frames of boxes: what they are normalised to, the image or the network's input, of which padding may be a part."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def to_padded_input(boxes: Any, true_image_shapes: Any, size: int) -> Any:
    """Boxes (B, D, 4) [ymin, xmin, ymax, xmax], normalised to the part of the input that is image -> to all of it.

    true_image_shapes: (B, 3) int32, the height, width and channels of that part, in pixels. size: side of the input.
    """
    inside = tf.cast(true_image_shapes[:, :2], tf.float32) / float(size)
    return boxes * tf.tile(inside, [1, 2])[:, tf.newaxis, :]
