"""The mean of a one-stage detector's predictions for images and for their mirror images, anchor by anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

TX = 1  # of a box encoding [ty, tx, th, tw], in units of the anchor (Ren et al. 2015, equation 2)
TOLERANCE = 1e-4  # of an anchor's place, as a share of the input's side


def mean_with_mirrored(
    plain: Any, mirrored: Any, anchors: Any, grids: Sequence[tuple[int, int]], boxes: bool
) -> Any:
    """The mean of what is predicted at each anchor and what is predicted at its mirror image, as seen unmirrored.

    plain, mirrored: (B, A, K) float32 of the images and of the mirror images: box encodings if `boxes`, else logits.
    anchors: (A, 4) float32 [ymin, xmin, ymax, xmax], normalised. grids: (height, width) of each level, whose anchors
    follow one another by row, column and shape.
    On levels whose anchors are no mirror image of themselves (those whose stride does not divide the input's side),
    `plain` alone counts.
    """
    of_cell = anchors.shape[0] // sum(height * width for height, width in grids)
    sizes = [height * width * of_cell for height, width in grids]
    found = []
    for (height, width), one, other, places in zip(
        grids, tf.split(plain, sizes, 1), tf.split(mirrored, sizes, 1), tf.split(anchors, sizes), strict=True
    ):
        channels = plain.shape[-1]
        back = tf.reverse(tf.reshape(other, [-1, height, width, of_cell, channels]), [2])
        back = tf.reshape(back, [-1, height * width * of_cell, channels])
        if boxes:
            back *= tf.constant([-1.0 if i == TX else 1.0 for i in range(channels)])
        found.append(tf.where(_symmetric(places, height, width, of_cell), (one + back) / 2, one))
    return tf.concat(found, 1)


def _symmetric(anchors: Any, height: int, width: int, of_cell: int) -> Any:
    """Whether each anchor's mirror image is the anchor of its shape at the mirrored column."""
    columns = tf.reshape(anchors, [height, width, of_cell, 4])
    mirrored = tf.reverse(columns, [1])
    mirrored = tf.stack(
        [mirrored[..., 0], 1.0 - mirrored[..., 3], mirrored[..., 2], 1.0 - mirrored[..., 1]], -1
    )
    return tf.reduce_all(tf.abs(columns - mirrored) < TOLERANCE)
